/**
 * What is looked at: a model at a moment, perhaps less another, a step, a row of a map, and a
 * sequence whose tokens are told. All parts of the page listen: a mark in one is a mark in all.
 *
 * @typedef {{ model: number, moment: number, less: number, step: number, row: number,
 *   map: string, sequence: number }} Place
 */

export class View {
  /**
   * @param {Place} place
   * @param {(place: Place) => Place} bounded gives the nearest place that there is
   */
  constructor(place, bounded) {
    this.bounded = bounded;
    this.place = bounded(place);
    /** @type {Array<(place: Place) => void>} */
    this.listeners = [];
    this.isPinned = false; // by a click, so that the pointer may go elsewhere
  }

  /** @param {boolean} isPinned whether the pointer no longer moves the mark */
  pin(isPinned) {
    this.isPinned = isPinned;
    this.go({});
  }

  /** @param {(place: Place) => void} listener is told now, and of every change */
  listen(listener) {
    this.listeners.push(listener);
    listener(this.place);
  }

  /** @param {Partial<Place>} change as far as there is such a place */
  go(change) {
    this.place = this.bounded({ ...this.place, ...change });
    for (const listener of this.listeners) listener(this.place);
  }
}

/** @param {Place} place @returns {string} the part of an address that brings one back there */
export function fragmentOf(place) {
  const { model, moment, less, step, row, map, sequence } = place;
  const told = {
    model,
    moment,
    ...(less < 0 ? {} : { less }),
    step,
    map,
    row,
    ...(sequence && { sequence }),
  };
  return Object.entries(told).map(([key, value]) => `${key}=${value}`).join("&");
}

/** @param {string} fragment @param {Place} otherwise @returns {Place} what it says, as far as */
export function placeOf(fragment, otherwise) {
  const said = new URLSearchParams(fragment.replace(/^#/, ""));
  /** @type {Record<string, number | string>} */
  const place = { ...otherwise };
  for (const [key, value] of said) {
    if (typeof place[key] === "string") place[key] = value;
    else if (key in otherwise && /^\d{1,6}$/.test(value)) place[key] = Number(value);
  }
  return /** @type {Place} */ (/** @type {unknown} */ (place));
}
