/** A range of steps: its norms, what came through it by each route, and which gates closed in it. */
import { kindOf, numberOf, power, signed, told, WORDS } from "./amounts.js";
import { inside, part } from "./dom.js";
import { mapIn } from "./moment.js";
import { decadesIn, rowOf } from "./step_panel.js";
/** @import { Moment } from "./types.d.ts" */

/** @param {Moment} moment @param {number} first @param {number} last columns of maps
 * @param {number} closed a gate below it is closed */
export function tellRange(moment, first, last, closed) {
  const { runs, steps: { steps, each, falls } } = moment;
  const [a, b] = [runs[first][0], runs[last][1]];
  part("range-steps").textContent = `${a} to ${b}`;
  const norms = each.rows.map((name, k) => {
    const codes = each.codes.codes.slice(k * steps + a - 1, k * steps + b).sort();
    const middle = codes[(codes.length - 1) >> 1];
    return rowOf([name, told(codes[0]), told(middle), told(codes[codes.length - 1])]);
  });
  const routes = falls.map(({ words, links, sums: { codes }, decade }) => {
    const lost = links.map((_, k) =>
      decadesIn(codes[k * steps + a - 1], decade) - decadesIn(codes[k * steps + b - 1], decade)
    );
    const all = lost.reduce((sum, x) => sum + x, 0);
    // After an exact 0, or what is not finite, nothing is known of what comes before.
    return rowOf([
      words,
      ...Number.isNaN(all) ? [WORDS.none, ""] : [`×${power(all)}`, signed(all)],
    ]);
  });
  const { rows = [], high, low = high } = mapIn(moment, "gates") ?? {};
  const gates = rows.map((name, k) => {
    const codes = [
      ...(low?.codes.slice(k * runs.length + first, k * runs.length + last + 1) ?? []),
    ];
    const least = Math.min(...codes);
    const [from, to] = runs[first + codes.indexOf(least)];
    const when = from === to ? `t = ${from}` : `t = ${from} to ${to}`;
    const isClosed = kindOf(least) === "zero" || numberOf(least) < closed;
    return rowOf([name, `${isClosed ? "closed, " : ""}${told(least)} at ${when}`]);
  });
  Object.entries({ norms, routes, gates }).forEach(([name, told]) => {
    part(`range-${name}`).hidden = told.length === 0;
    inside(part(`range-${name}`), "tbody").replaceChildren(...told);
  });
}
