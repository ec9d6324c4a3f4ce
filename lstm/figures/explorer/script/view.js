/** What is looked at: a model at a moment, perhaps less another, a step, a row of a map, a sequence
 * whose tokens are told, and a route of the gradient. All parts of the page are told of a change:
 * a mark in one is a mark in all. */
/** @import { Place } from "./types.d.ts" */

export class View {
  /** @param {Place} place
   * @param {(place: Place) => Place} bounded gives the nearest place that there is */
  constructor(place, bounded) {
    this.bounded = bounded;
    this.place = bounded(place);
    /** @type {Array<(place: Place, isPointed: boolean) => void>} */
    this.listeners = [];
  }

  /** @param {(place: Place, isPointed: boolean) => void} listener is told now, and of changes */
  listen(listener) {
    this.listeners.push(listener);
    listener(this.place, false);
  }

  /** @param {Partial<Place>} change as far as there is such a place
   * @param {boolean} isPointed whether the pointer only passes over it */
  go(change, isPointed = false) {
    const before = JSON.stringify(this.place);
    this.place = this.bounded({ ...this.place, ...change });
    if (JSON.stringify(this.place) === before) return;
    for (const listener of this.listeners) listener(this.place, isPointed);
  }

  /** @param {Partial<Place>} there keep it, alone */
  open(there) {
    this.go({ ...there, from: 0, isPinned: true });
  }

  /** Let go of the step or the range that is kept. */
  letGo() {
    this.go({ from: 0, isPinned: false });
  }
}

/** @param {Place} place @returns {string} the part of an address that brings one back there */
export function fragmentOf({ isPinned: _, ...place }) {
  return new URLSearchParams(Object.entries(place).map(([key, x]) => [key, String(x)])).toString();
}

/** @param {URLSearchParams} said of a fragment, or of a form @param {Place} otherwise
 * @returns {Place} what it says, as far as that is of the kind that it should be */
export function placeOf(said, otherwise) {
  /** @type {Record<string, number | string | boolean>} */
  const place = { ...otherwise };
  for (const [key, value] of said) {
    if (typeof place[key] === "string") place[key] = value;
    else if (typeof place[key] === "number" && /^-?\d{1,6}(\.\d+)?$/.test(value)) {
      place[key] = +value;
    }
  }
  return /** @type {Place} */ (/** @type {unknown} */ (place));
}
