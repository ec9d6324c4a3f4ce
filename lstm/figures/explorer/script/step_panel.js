/** One step: what each of its equations gives and gets back, and what a path lost on its way. */
import { element } from "./dom.js";
import { lookOf, power, signed, told } from "./amounts.js";

const INFINITE = 2_000_000_000; // of the codes of sums, as in steps.py

/** @import { Equation, Fall, Scale, Steps } from "./types.d.ts" */

/** @param {HTMLElement} chip that is to tell a number on its colour @returns {HTMLElement} it
 * @param {Scale} scale @param {number} code */
function tell(chip, scale, code) {
  const { color, kind } = lookOf(scale, code);
  chip.textContent = told(code);
  chip.style.borderColor = color || "transparent";
  chip.style.borderStyle = kind === "" || kind === "inf" ? "solid" : "dotted";
  return chip;
}

/** @param {(string | Node)[]} cells @returns {HTMLElement} a row, headed by the first */
export function rowOf(cells) {
  const row = element("tr");
  row.append(...cells.map((cell, k) => element(k === 0 ? "th" : "td", cell)));
  row.children[0].setAttribute("scope", "row");
  return row;
}

/** @param {Steps} steps @param {number} step @param {Scale} scale @returns {HTMLElement[]} */
export function normRows(steps, step, scale) {
  const { rows, codes } = steps.each;
  return rows.map((name, k) => {
    const chip = element("span");
    chip.className = "chip";
    return rowOf([name, tell(chip, scale, codes.codes[k * steps.steps + step - 1])]);
  });
}

/** @param {number} code of a sum @param {number} decade of how many codes @returns {number} it */
export function decadesIn(code, decade) {
  if (Math.abs(code) < INFINITE) return code / decade;
  return code > INFINITE ? NaN : Math.sign(code) * Infinity;
}

/** What each link of a path lost or won between t = T and a step.
 * @param {Fall} fall @param {number} steps @param {number} step @returns {HTMLElement[]} */
export function fallRows(fall, steps, step) {
  const { codes } = fall.sums;
  const decades = fall.links.map((_, k) => decadesIn(codes[k * steps + step - 1], fall.decade));
  const most = Math.max(...decades.map(Math.abs).filter(Number.isFinite), 1);
  const start = Number(String(fall.start).replace("inf", "Infinity"));
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

/** Fill a table of equations, of which the page has the notation.
 * @param {Element} table @param {Equation[]} equations @param {Scale} scale @param {number} step */
export function fillEquations(table, equations, scale, step) {
  const rows = table.querySelectorAll("tbody tr");
  equations.forEach(({ value, adjoint, terms }, k) => {
    rows[k].children[2].textContent = told(value.codes[step - 1]);
    /** @type {NodeListOf<HTMLElement>} */
    const chips = rows[k].querySelectorAll(".chip");
    [adjoint, ...terms.map(({ norm }) => norm)].forEach(({ codes }, c) => {
      tell(chips[c], scale, codes[step - 1]);
    });
  });
}
