/** A tour: what to see first, stop by stop, for whoever shows it to others. */
import { part } from "./dom.js";

/** @import { Told } from "./types.d.ts" */
/** @import { View } from "./view.js" */

/** @param {Told["tour"]} stops @param {View} view */
export function guide(stops, view) {
  const [back, on] = [part("tour-back"), part("tour-on")];
  let at = -1; // before the first
  /** @param {number} to */
  const go = (to) => {
    at = to < stops.length ? to : -1;
    part("tour-back").hidden = at < 1;
    on.textContent = ["Show me around", "Next", "End"][at < 0 ? 0 : at + 1 < stops.length ? 1 : 2];
    part("tour-words").textContent = at < 0
      ? ""
      : `${at + 1} of ${stops.length}: ${stops[at].words}`;
    if (at < 0) return;
    const { words: _, ...place } = stops[at];
    view.go(place);
    const behavior = matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth";
    part("tour").scrollIntoView({ behavior, block: "start" });
  };
  on.addEventListener("click", () => go(at + 1));
  back.addEventListener("click", () => go(at - 1));
  go(-1);
}
