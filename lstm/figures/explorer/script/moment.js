/** Where things are in the numbers of a model at one moment of its training. */
/** @import { MapData, Moment } from "./types.d.ts" */

/** @param {number} k @param {number} n @returns {number} the whole one from 0 to below n next to k */
export function within(k, n) {
  return Math.min(Math.max(Math.round(k), 0), n - 1);
}

/** @param {Moment} moment @param {string} key @returns {MapData | undefined} its map of that key
 * @param {number} sequence whose it is, where each has its own */
export function mapIn(moment, key, sequence = 0) {
  const map = moment.maps.find((map) => map.key === key);
  return map?.each ? map.each[sequence] : map;
}

/** @param {{ runs: number[][] }} moment @param {number} step @returns {number} its column in maps */
export function columnOf({ runs }, step) {
  return runs.findIndex(([, last]) => step <= last);
}

/** @param {Moment} moment @param {number} sequence @param {number} step
 * @returns {string} its token; of none nothing */
export function tokenAt({ tokens, steps }, sequence, step) {
  const id = tokens?.ids.codes[sequence * steps.steps + step - 1] ?? -1;
  return tokens && id >= 0 ? tokens.names[id] : "";
}

/** @param {string} token @returns {string} it in quotes, after what is said of its step */
export function quoted(token) {
  return token && ` “${token}”`;
}

/** @param {Moment} moment @param {number} sequence @param {number} step @returns {string} in words */
export function stepWords(moment, sequence, step) {
  return `t = ${step}${quoted(tokenAt(moment, sequence, step))}`;
}
