/** One step: what each of its equations gives and gets back, and what a path lost on its way. */
import { element, inside } from "./dom.js";
import { lookOf, power, signed, told } from "./amounts.js";

const INFINITE = 2_000_000_000; // of the codes of sums, as in steps.py

/** @import { Equation, Fall, Scale, Steps } from "./types.d.ts" */

/** @param {Element} at whose chips tell numbers on their colours
 * @param {Scale} scale @param {number[]} codes */
function tell(at, scale, codes) {
  /** @type {NodeListOf<HTMLElement>} */
  const chips = at.querySelectorAll(".chip");
  chips.forEach((chip, k) => {
    const { color, kind } = lookOf(scale, codes[k]);
    chip.textContent = told(codes[k]);
    chip.style.borderColor = color || "transparent";
    chip.style.borderStyle = kind === "" || kind === "inf" ? "solid" : "dotted";
  });
}

/** @param {(string | Node)[]} cells @returns {HTMLElement} a row, headed by the first */
export function rowOf(cells) {
  const row = element("tr");
  row.append(...cells.map((cell, k) => element(k === 0 ? "th" : "td", cell)));
  row.children[0].setAttribute("scope", "row");
  return row;
}

/** @param {Steps} steps @returns {HTMLElement[]} rows to be filled with norms, again and again */
export function normRows(steps) {
  const rows = steps.each.rows.map((name) => rowOf([name, element("span")]));
  for (const row of rows) inside(row, "span").className = "chip";
  return rows;
}

/** @param {Element} body @param {Steps} steps @param {number} step @param {Scale} scale */
export function fillNorms(body, { steps, each }, step, scale) {
  tell(body, scale, each.rows.map((_, k) => each.codes.codes[k * steps + step - 1]));
}

/** @param {number} code of a sum @param {number} decade of how many codes @returns {number} it */
export function decadesIn(code, decade) {
  if (Math.abs(code) < INFINITE) return code / decade;
  return code > INFINITE ? NaN : Math.sign(code) * Infinity;
}

/** @param {Fall} fall @param {number} steps @returns {HTMLElement[]} rows to be filled with it */
export function fallRows(fall, steps) {
  const links = fall.links.map((link) => rowOf([link, element("div"), ""]));
  return [rowOf([`${fall.words}, at t = ${steps}`, "", ""]), ...links, rowOf(["", "", ""])];
}

/** Fill in what each link of a path lost or won between t = T and a step.
 * @param {HTMLElement} body @param {Fall} fall @param {number} steps @param {number} step */
export function fillFall(body, fall, steps, step) {
  const { codes } = fall.sums;
  const decades = fall.links.map((_, k) => decadesIn(codes[k * steps + step - 1], fall.decade));
  const most = Math.max(...decades.map(Math.abs).filter(Number.isFinite), 1);
  const start = Number(String(fall.start).replace("inf", "Infinity"));
  const end = decades.reduce((sum, x) => sum + x, start);
  const [first, ...rows] = body.children;
  first.children[2].textContent = power(start);
  decades.forEach((lost, k) => {
    const [, { firstElementChild: bar }, said] = rows[k].children;
    const share = Math.min(Math.abs(lost) / most, 1) || 0; // of NaN there is no bar
    bar?.setAttribute("class", lost < 0 ? "bar lost" : "bar won");
    bar?.setAttribute("style", `--share: ${share / 2}`);
    said.textContent = signed(lost);
  });
  const [when, , norm] = rows[decades.length].children;
  when.textContent = `at t = ${step}`;
  norm.textContent = power(end);
}

/** Fill a table of equations, of which the page has the notation.
 * @param {Element} table @param {Equation[]} equations @param {Scale} scale @param {number} step */
export function fillEquations(table, equations, scale, step) {
  const rows = table.querySelectorAll("tbody tr");
  equations.forEach(({ value, adjoint, terms }, k) => {
    rows[k].children[2].textContent = told(value.codes[step - 1]);
    const norms = [adjoint, ...terms.map(({ norm }) => norm)];
    tell(rows[k], scale, norms.map(({ codes }) => codes[step - 1]));
  });
}
