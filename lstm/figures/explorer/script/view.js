/**
 * What is looked at: a step, a row of a map, a flow. All maps listen, so that a mark in one of them
 * is a mark in all.
 *
 * @typedef {{ flow: number, step: number, row: number, map: string }} Place
 */

export class View {
  /** @param {Place} place */
  constructor(place) {
    /** @type {Place} */
    this.place = place;
    /** @type {Array<(place: Place, before: Place) => void>} */
    this.listeners = [];
  }

  /** @param {(place: Place, before: Place) => void} listener is told now and of every change */
  listen(listener) {
    this.listeners.push(listener);
    listener(this.place, this.place);
  }

  /** @param {Partial<Place>} change */
  go(change) {
    const before = this.place;
    this.place = { ...before, ...change };
    for (const listener of this.listeners) listener(this.place, before);
  }
}
