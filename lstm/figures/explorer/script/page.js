/** The page: its maps, its step and its controls, of the model and the moment that are chosen. */
import { control, explain } from "./controls.js";
import { inside, part } from "./dom.js";
import { explored } from "./graphs.js";
import { HeatMap } from "./heat_map.js";
import { differenceOf, layerOf, sidesOf } from "./layers.js";
import { unpacked } from "./packed.js";
import { fallRows, fillEquations, normRows } from "./step_panel.js";
import { quoted, TokenAxis, wordAt } from "./tokens.js";
import { guide } from "./tour.js";
import { fragmentOf, placeOf, View } from "./view.js";

/**
 * @typedef {import("./controls.js").Model} Model
 * @typedef {import("./controls.js").Moment} Moment
 * @typedef {import("./view.js").Place} Place
 * @typedef {import("./amounts.js").Scale} Scale
 * @typedef {{ scale: Scale, models: Model[],
 *   sides: { sides: string[], kinds: Record<string, string> } }} Told
 */

class Explorer {
  /** @param {Told} told */
  constructor({ scale, sides, models }) {
    this.scale = scale;
    this.models = models;
    this.sides = sides;
    /** @type {Map<string, HeatMap>} */
    this.maps = new Map();
    this.shown = this.shownStep = "";
    const map = models[0].moments[0].maps[0].key;
    const last = models[0].moments.length - 1;
    const start = { model: 0, moment: last, less: -1, step: 1, row: 0, map, sequence: 0 };
    this.view = new View(placeOf(location.hash, start), (place) => this.bounded(place));
    const every = this.everyMoment().map(({ maps }) => maps.map(({ key }) => key));
    every.sort((a, b) => b.length - a.length); // in the order of those that have most
    for (const key of new Set(every.flat())) {
      const map = new HeatMap(key, this.figure(key), this.view);
      map.word = (step) => quoted(wordAt(this.moment(this.view.place), this.view.place, step));
      this.maps.set(key, map);
    }
    const hasTokens = this.everyMoment().some(({ tokens }) => tokens);
    this.tokens = hasTokens ? new TokenAxis(this.figure("tokens"), this.view, scale) : null;
    this.view.listen((place) => this.choose(place));
    control(models, this.view);
    this.attend();
    this.view.listen((place) => this.showStep(place));
    this.remember();
    globalThis.addEventListener("hashchange", () => {
      this.view.go(placeOf(location.hash, this.view.place));
    });
  }

  everyMoment() {
    return this.models.flatMap(({ moments }) => moments);
  }

  /** @param {string} key @returns {HTMLElement} a figure for a map */
  figure(key) {
    const { content } = /** @type {HTMLTemplateElement} */ (part("map"));
    const figure = /** @type {HTMLElement} */ (inside(content, "figure").cloneNode(true));
    figure.dataset.map = key;
    part("maps").append(figure);
    return figure;
  }

  /** @param {Place} place @returns {Place} the nearest that there is, of whole numbers */
  bounded(place) {
    const within = (/** @type {number} */ k, /** @type {number} */ n) =>
      Math.min(Math.max(Math.round(k) || 0, 0), n - 1);
    const model = within(place.model, this.models.length);
    const moment = within(place.moment, this.models[model].moments.length);
    const { steps, maps, tokens } = this.models[model].moments[moment];
    const step = within(place.step - 1, steps.steps) + 1;
    const isSelf = place.less === model && this.models[model].moments.length < 2;
    const less = place.less < this.models.length && !isSelf ? place.less : -1;
    const isThere = maps.some(({ key }) => key === place.map) || (tokens && place.map === "tokens");
    const map = isThere ? place.map : maps[0].key;
    const sequence = within(place.sequence, tokens?.ids.shape[0] ?? 1);
    return { ...place, model, moment, step, less, map, sequence };
  }

  /** @param {Place} place @returns {Moment} */
  moment({ model, moment }) {
    return this.models[model].moments[moment];
  }

  /** @param {Place} place show other numbers where another model or moment is chosen */
  choose(place) {
    const shown = [place.model, place.moment, place.less].join();
    if (shown === this.shown) return;
    this.shown = shown;
    const moment = this.moment(place);
    const less = place.less < 0 ? null : this.models[place.less];
    const isSelf = place.less === place.model; // which is compared with its first moment
    const other = less?.moments[isSelf ? 0 : Math.min(place.moment, less.moments.length - 1)];
    const isLike = other !== undefined && other.steps.steps === moment.steps.steps;
    const sides = other && isLike ? sidesOf(pairsOf(moment, other), this.sides) : null;
    const names = [this.models[place.model].name, less?.name ?? ""];
    if (isSelf) [names[0], names[1]] = [moment.label, other?.label ?? ""];
    const layers = [];
    for (const [key, map] of this.maps) {
      const data = moment.maps.find((m) => m.key === key);
      const beside = other?.maps.find((m) => m.key === key);
      let layer = data && !less ? layerOf(data, this.scale) : null;
      if (data && beside && sides) layer = differenceOf(data, beside, sides, names);
      map.set(layer, moment.runs);
      if (layer) layers.push(layer);
    }
    explain("legend", this.scale, moment.maps.map((data) => layerOf(data, this.scale)));
    part("legend-less").hidden = sides === null;
    if (sides) explain("legend-less", sides, layers);
    part("finding").textContent = less && !isLike
      ? `${names[0]} and ${names[1]} have not as many steps: nothing to compare step by step.`
      : `${names[0]}: ${moment.sentences[0]}`;
    this.showRoutes(moment);
    this.tokens?.tell(moment);
    for (const map of this.maps.values()) map.show(place);
    this.tokens?.show(place);
  }

  /** @param {Moment} moment */
  showRoutes({ steps: { falls } }) {
    const select = /** @type {HTMLSelectElement} */ (part("route"));
    const chosen = select.value;
    select.replaceChildren(...falls.map(({ route, words }) => new Option(words, route)));
    if (falls.some(({ route }) => route === chosen)) select.value = chosen;
    part("fell").hidden = falls.length === 0;
  }

  /** What chooses a step and a path. */
  attend() {
    const step = /** @type {HTMLInputElement} */ (part("step"));
    step.addEventListener("change", () => {
      if (step.value !== "") this.view.go({ step: +step.value });
      step.value = String(this.view.place.step);
    });
    part("route").addEventListener("change", () => this.showStep(this.view.place));
    part("controls").addEventListener("submit", (event) => event.preventDefault());
  }

  /** @param {Place} place all numbers of its step */
  showStep(place) {
    const { steps } = this.moment(place);
    part("word").textContent = quoted(wordAt(this.moment(place), place, place.step));
    const shown = [place.model, place.moment, place.step, value("route")].join();
    if (shown === this.shownStep) return;
    this.shownStep = shown;
    const input = /** @type {HTMLInputElement} */ (part("step"));
    input.max = String(steps.steps);
    if (input.value !== String(place.step)) input.value = String(place.step);
    inside(part("norms"), "tbody").replaceChildren(...normRows(steps, place.step, this.scale));
    const fall = steps.falls.find(({ route }) => route === value("route"));
    const rows = fall ? fallRows(fall, steps.steps, place.step) : [];
    inside(part("fall"), "tbody").replaceChildren(...rows);
    for (const table of part("explorer").querySelectorAll(".equations")) {
      const equations = /** @type {HTMLElement} */ (table);
      equations.hidden = equations.dataset.model !== String(place.model) ||
        steps.equations.length === 0;
      if (!equations.hidden) fillEquations(equations, steps.equations, this.scale, place.step);
    }
  }

  /** Keep in the address where one looks, so that it may be handed on. */
  remember() {
    if (location.protocol === "about:") return; // in a notebook's frame there is no address
    let waits = 0;
    this.view.listen((place) => {
      clearTimeout(waits);
      waits = setTimeout(() => history.replaceState(null, "", `#${fragmentOf(place)}`), 300);
    });
  }
}

/** @param {string} id @returns {string} what is chosen there */
function value(id) {
  return /** @type {HTMLSelectElement} */ (part(id)).value;
}

/** @param {Moment} a @param {Moment} b @returns {import("./layers.js").MapData[][]} like maps */
function pairsOf(a, b) {
  const pairs = a.maps.map((m) => [m, b.maps.find(({ key }) => key === m.key)]);
  return /** @type {import("./layers.js").MapData[][]} */ (pairs.filter(([m, n]) =>
    m && n && !m.shares
  ));
}

const everything = await unpacked(JSON.parse(part("data").textContent ?? ""));
guide(everything.tour, new Explorer(everything).view);
for (const frame of document.querySelectorAll(".scroll.wide")) {
  explored(/** @type {HTMLElement} */ (frame));
}
part("explorer").dataset.ready = "";
