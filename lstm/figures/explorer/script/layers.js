/** What a map paints and says: the numbers of one flow, or of one less another. */
import { decadesOf, kindOf, lookOf, lookOfDecades, signed, told, WORDS } from "./amounts.js";
/** @import { Layer, MapData, Scale } from "./types.d.ts" */

/** @param {MapData} data @param {Scale} scale @returns {Layer} the numbers as they are */
export function layerOf(data, scale) {
  const { title, rows, high, low, least, most } = data;
  const codes = (/** @type {boolean} */ isLow) => ((isLow && low) || high).codes;
  return {
    title,
    rows,
    data,
    isSplit: low !== undefined,
    look: (k, isLow) => lookOf(scale, codes(isLow)[k]),
    words: (k) => {
      const [a, b] = [codes(true)[k], codes(false)[k]];
      const what = a === b ? told(b) : `${told(a)} to ${told(b)}`;
      if (!least || !most) return what;
      return `${what}, over batch and units ${told(least.codes[k])} to ${told(most.codes[k])}`;
    },
  };
}

/** @param {number} a @param {number} b @returns {number} decades that the first has more; or NaN */
function more(a, b) {
  return decadesOf(a) - decadesOf(b);
}

/** A map less another, by the largest of each run of steps.
 * @param {MapData} a @param {MapData} b @param {Scale} sides two-sided @param {string[]} names
 * @returns {Layer | null} null where the two have not as many rows, or shares */
export function differenceOf(a, b, sides, names) {
  const isAlike = a.called ? a.rows.join() === b.rows.join() : a.rows.length === b.rows.length;
  if (a.shares || b.shares || (!a.called && !isAlike)) return null;
  const [first, second] = [a.high.codes, b.high.codes];
  return {
    title: `${a.title}: ${names[0]} less ${names[1]}, in decades`,
    // Of the states of unlike cells the first are compared, those that are made to last.
    rows: isAlike ? a.rows : [`${names[0]} ${a.rows[0]} less ${names[1]} ${b.rows[0]}`],
    data: a,
    isSplit: false,
    look: (k) => {
      const decades = more(first[k], second[k]);
      if (decades === 0) return { color: sides.kinds.even, kind: "even" };
      if (!Number.isNaN(decades)) return lookOfDecades(sides, Math.max(decades, sides.low));
      const kind = kindOf(first[k]) || kindOf(second[k]);
      return { color: sides.kinds[kind] ?? "", kind };
    },
    words: (k) => {
      const decades = more(first[k], second[k]);
      const both = `${told(first[k])} and ${told(second[k])}`;
      if (decades === 0) return `${WORDS.even}, ${both}`;
      if (Number.isNaN(decades)) return both;
      return `${signed(decades)} decades, ${both}`;
    },
  };
}
