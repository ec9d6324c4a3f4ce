/** One step: what each of its equations gives and gets back, and what a path lost on its way. */
import { element } from "./dom.js";
import { lookOf, power, signed, told } from "./amounts.js";

const INFINITE = 2_000_000_000; // of the codes of sums, as in steps.py
/** @type {Record<string, number>} */
const NOT_FINITE = { nan: NaN, inf: Infinity, "-inf": -Infinity };

/**
 * @typedef {import("./amounts.js").Scale} Scale
 * @typedef {import("./packed.js").Codes} Codes
 * @typedef {{ of: string, norm: Codes }} Term
 * @typedef {{ name: string, value: Codes, adjoint: Codes, terms: Term[] }} Equation
 * @typedef {{ route: string, words: string, start: number | string, links: string[],
 *   decade: number, sums: Codes }} Fall
 * @typedef {{ steps: number, each: { rows: string[], codes: Codes }, equations: Equation[],
 *   falls: Fall[] }} Steps
 */

/** @param {Scale} scale @param {number} code @returns {HTMLElement} a number on its colour */
function chip(scale, code) {
  const { color, kind } = lookOf(scale, code);
  const shown = element("span", told(code));
  shown.className = "chip";
  shown.style.borderColor = color || "transparent";
  shown.style.borderStyle = kind === "" || kind === "inf" ? "solid" : "dotted";
  return shown;
}

/** @param {(string | Node)[]} cells @returns {HTMLElement} a row, headed by the first */
function rowOf(cells) {
  const row = element("tr");
  row.append(...cells.map((cell, k) => element(k === 0 ? "th" : "td", cell)));
  row.firstElementChild?.setAttribute("scope", "row");
  return row;
}

/** @param {Steps} steps @param {number} step @param {Scale} scale @returns {HTMLElement[]} */
export function normRows(steps, step, scale) {
  const { rows, codes } = steps.each;
  return rows.map((name, k) => rowOf([name, chip(scale, codes.codes[k * steps.steps + step - 1])]));
}

/** @param {number} code of a sum @param {number} decade of how many codes @returns {number} it */
function decadesIn(code, decade) {
  if (Math.abs(code) < INFINITE) return code / decade;
  return code > INFINITE ? NaN : Math.sign(code) * Infinity;
}

/**
 * What each link of a path lost or won between t = T and a step.
 * @param {Fall} fall @param {number} steps @param {number} step @returns {HTMLElement[]}
 */
export function fallRows(fall, steps, step) {
  const { codes } = fall.sums;
  const decades = fall.links.map((_, k) => decadesIn(codes[k * steps + step - 1], fall.decade));
  const most = Math.max(...decades.map(Math.abs).filter(Number.isFinite), 1);
  const start = typeof fall.start === "number" ? fall.start : NOT_FINITE[fall.start];
  const end = decades.reduce((sum, x) => sum + x, start);
  const rows = fall.links.map((link, k) => {
    const bar = element("div");
    bar.className = decades[k] < 0 ? "bar lost" : "bar won";
    const share = Math.min(Math.abs(decades[k]) / most, 1) || 0; // of NaN there is no bar
    bar.style.setProperty("--share", String(share / 2));
    return rowOf([link, bar, signed(decades[k])]);
  });
  const first = rowOf([`at t = ${steps}`, "", power(start)]);
  return [first, ...rows, rowOf([`at t = ${step}`, "", power(end)])];
}

/**
 * Fill a table of equations, of which the page has the notation.
 * @param {HTMLElement} table @param {Equation[]} equations @param {Scale} scale
 * @param {number} step
 */
export function fillEquations(table, equations, scale, step) {
  const rows = table.querySelectorAll("tbody tr");
  equations.forEach(({ value, adjoint, terms }, k) => {
    const [, , ofValue, ofAdjoint, ofTerms] = rows[k].children;
    ofValue.textContent = told(value.codes[step - 1]);
    ofAdjoint.replaceChildren(chip(scale, adjoint.codes[step - 1]));
    ofTerms.replaceChildren(...terms.map(({ of, norm }) => {
      const term = element("span", `${of} `);
      term.className = "term";
      term.append(chip(scale, norm.codes[step - 1]));
      return term;
    }));
  });
}
