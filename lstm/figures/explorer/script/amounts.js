/** What a code says: its number, its words, and its colour on the one scale of the page. */
/** @import { Look, Scale } from "./types.d.ts" */

const DECADE = 9000; // codes of one power of ten, as in packed.py
const FAR = 5_000_000; // beyond all numbers
const [BELOW, ABOVE] = [["underflow", "zero", "disconnected", "none"], ["inf", "nan"]];
/** @type {Record<string, string>} */
export const WORDS = {
  none: "nothing to tell",
  disconnected: "not connected",
  below: "below the scale",
  underflow: "underflow",
  zero: "exactly 0",
  even: "as much",
  inf: "infinite",
  nan: "NaN",
};

/** @param {number} code @returns {string} what it is where it is no number, else "" */
export function kindOf(code) {
  return BELOW[-FAR - code] ?? ABOVE[code - FAR] ?? "";
}

/** @param {number} code @returns {number} its number; of what is none, NaN */
export function numberOf(code) {
  if (kindOf(code)) return NaN;
  const exponent = Math.floor(code / DECADE);
  return Number(`${1000 + code - exponent * DECADE}e${exponent - 3}`);
}

/** @param {number} code @returns {number} the power of ten that it is; of what is none, NaN */
export function decadesOf(code) {
  if (kindOf(code)) return NaN;
  const exponent = Math.floor(code / DECADE);
  return exponent + Math.log10(1 + (code - exponent * DECADE) / 1000);
}

/** @param {number} number @returns {string} it, with an exponent where it is small or large */
function written(number) {
  return number >= 1e-3 && number < 1e5 ? String(number) : number.toExponential();
}

/** @param {number} code @returns {string} its four digits, or words */
export function told(code) {
  return WORDS[kindOf(code)] ?? written(numberOf(code));
}

/** @param {number} decades @returns {string} 10 to the power of them, in four digits, or words */
export function power(decades) {
  if (Number.isNaN(decades)) return WORDS.nan;
  if (!Number.isFinite(decades)) return decades < 0 ? WORDS.zero : WORDS.inf;
  let exponent = Math.floor(decades);
  let digits = Math.round(1000 * 10 ** (decades - exponent));
  if (digits === 10_000) [digits, exponent] = [1000, exponent + 1];
  if (Math.abs(exponent) < 300) return written(Number(`${digits}e${exponent - 3}`));
  return `${digits / 1000}e${exponent < 0 ? "-" : "+"}${Math.abs(exponent)}`; // no float holds it
}

/** @param {number} decades @returns {string} with its sign, in hundredths, or words */
export function signed(decades) {
  if (Number.isNaN(decades)) return WORDS.nan;
  const size = Math.abs(decades);
  return `${decades < 0 ? "−" : "+"}${size === Infinity ? "∞" : size.toFixed(2)}`;
}

/** @param {Scale} scale @param {number} decades @returns {Look} of a power of ten */
export function lookOfDecades(scale, decades) {
  const share = (decades - scale.low) / (scale.high - scale.low);
  if (share < -1e-9) return { color: scale.kinds.below, kind: "below" };
  const classes = scale.colors.length;
  const place = Math.floor(share * classes + 1e-9);
  return { color: scale.colors[Math.min(Math.max(place, 0), classes - 1)], kind: "" };
}

/** @param {Scale} scale @param {number} code @returns {Look} of a gradient's norm */
export function lookOf(scale, code) {
  const kind = kindOf(code);
  return kind ? { color: scale.kinds[kind] ?? "", kind } : lookOfDecades(scale, decadesOf(code));
}
