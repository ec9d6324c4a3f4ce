/** The page: its maps, its step and its controls, of the model and the moment that are chosen. */
import { WORDS } from "./amounts.js";
import { control, offer } from "./controls.js";
import { inside, part } from "./dom.js";
import { explored } from "./graphs.js";
import { HeatMap } from "./heat_map.js";
import { differenceOf, layerOf } from "./layers.js";
import { columnOf, mapIn, quoted, tokenAt, within } from "./moment.js";
import { unpacked } from "./packed.js";
import { fallRows, fillEquations, fillFall, fillNorms, normRows } from "./step_panel.js";
import { StepGraph } from "./step_graph.js";
import { fill } from "./tiles.js";
import { tellRange } from "./range.js";
import { TokenAxis } from "./tokens.js";
import { guide } from "./tour.js";
import { fragmentOf, placeOf, View } from "./view.js";

/** @import { Moment, Place, Told } from "./types.d.ts" */

class Explorer {
  /** @param {Told} told */
  constructor({ scale, sides, models, start, closed }) {
    this.scale = scale;
    this.sides = sides;
    this.models = models;
    this.closed = closed;
    this.shown = this.shownRows = this.shownStep = "";
    this.view = new View(addressed(start), (place) => this.bounded(place));
    /** @type {NodeListOf<HTMLElement>} */
    const figures = document.querySelectorAll("figure[data-map]");
    this.maps = [...figures].map((figure) =>
      figure.dataset.map === "tokens"
        ? new TokenAxis(figure, this.view, scale)
        : new HeatMap(figure, this.view)
    );
    this.graphs = models.flatMap(({ ops }, k) => ops ? [new StepGraph(k, ops, this.view)] : []);
    this.view.listen((place, isPointed) => this.show(place, isPointed));
    control(this.view);
    this.remember();
    const again = () => this.maps.forEach((map) => map.paint()); // in other colours
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", again);
    globalThis.addEventListener("beforeprint", () => this.show(this.view.place, false));
    globalThis.addEventListener("hashchange", () => this.view.go(addressed(this.view.place)));
  }

  /** @param {Place} place @returns {Place} the nearest that there is, of whole numbers */
  bounded(place) {
    const model = within(place.model, this.models.length);
    const { moments } = this.models[model];
    const moment = within(place.moment, moments.length);
    const { steps, maps, tokens } = moments[moment];
    const isSelf = place.less === model && moments.length < 2;
    const isThere = mapIn(moments[moment], place.map) || (tokens && place.map === "tokens");
    const isRoute = steps.falls.some(({ route }) => route === place.route);
    const step = within(place.step - 1, steps.steps) + 1;
    const end = place.from > 0 ? within(place.from - 1, steps.steps) + 1 : 0;
    const from = end === step ? 0 : end;
    return {
      ...place,
      model,
      moment,
      step,
      from,
      isPinned: place.isPinned || from > 0,
      row: Math.max(Math.round(place.row), 0),
      less: isSelf || !this.models[place.less] ? -1 : place.less,
      map: isThere ? place.map : maps[0].key,
      sequence: within(place.sequence, tokens?.ids.shape[0] ?? 1),
      route: isRoute ? place.route : steps.falls[0]?.route ?? "",
    };
  }

  /** @param {Place} place @param {boolean} isPointed */
  show(place, isPointed) {
    const moment = this.choose(place);
    const ends = [place.step, place.from || place.step].map((step) => columnOf(moment, step));
    const [first, last] = [Math.min(...ends), Math.max(...ends)];
    part("explorer").classList.toggle("pinned", place.isPinned);
    const [left, width] = [first, last + 1 - first].map((n) =>
      `${(100 * n) / moment.runs.length}%`
    );
    for (const map of this.maps) {
      Object.assign(map.mark.style, { left, width });
      map.show(place);
    }
    for (const graph of this.graphs) if (!graph.figure.hidden) graph.follow(isPointed);
    this.showStep(place);
    part("range").hidden = place.from === 0;
    if (place.from) tellRange(moment, first, last, this.closed);
  }

  /** @param {Place} place show other numbers where another model or moment is chosen */
  choose(place) {
    const moment = this.models[place.model].moments[place.moment];
    const shown = [place.model, place.moment, place.less, place.sequence].join();
    if (shown === this.shown) return moment;
    this.shown = shown;
    offer(this.models, place);
    const less = place.less < 0 ? null : this.models[place.less];
    const isSelf = place.less === place.model; // which is compared with its first moment
    const named = less?.moments.find(({ label }) => label === moment.label);
    const nearest = named ?? less?.moments[within(place.moment, less.moments.length)];
    const other = isSelf ? less?.moments[0] : nearest;
    const isLike = other?.steps.steps === moment.steps.steps;
    const names = isSelf && other
      ? [moment.label, other.label]
      : [this.models[place.model].name, less?.name ?? ""];
    for (const map of this.maps) {
      const data = mapIn(moment, map.key, place.sequence);
      const beside = other && mapIn(other, map.key);
      if (!data || !other) map.set(moment, data ? layerOf(data, this.scale) : null);
      else map.set(moment, beside && isLike ? differenceOf(data, beside, this.sides, names) : null);
    }
    for (const graph of this.graphs) {
      graph.figure.hidden = graph.model !== place.model;
      const { ops } = moment.steps;
      const beside = isLike && other?.steps.ops;
      if (graph.figure.hidden || !ops) continue;
      const words = `${names[1]} has ${isLike ? "other ops" : "not as many steps"}`;
      if (beside && ops.rows.join() === beside.rows.join()) {
        const layer = differenceOf(ops, beside, this.sides, names);
        graph.set(layer, this.sides, names.join(" less "));
      } else graph.set(layerOf(ops, this.scale), this.scale, less ? words : "");
    }
    part("legend-less").hidden = !isLike;
    const whats = [[this.models[place.model].name, moment.label], [less?.name, other?.label]];
    const [ours, theirs] = whats.map((words) => words.join(" ").trim());
    part("finding").textContent = other && !isLike
      ? `${ours} has ${moment.steps.steps} steps, ${theirs} ${other.steps.steps}: nothing to compare.`
      : `${ours}: ${moment.sentences[0]}${other ? ` Less ${theirs}.` : ""}`;
    return moment;
  }

  /** @param {Place} place all numbers of its step */
  showStep({ model, moment, step, sequence, route }) {
    const shown = [model, moment, step, sequence, route].join();
    if (shown === this.shownStep) return;
    this.shownStep = shown;
    const told = this.models[model].moments[moment];
    const { steps, falls, equations } = told.steps;
    part("word").textContent = quoted(tokenAt(told, sequence, step));
    const [norms, lost] = ["norms", "fall"].map((id) => inside(part(id), "tbody"));
    const fall = falls.find((one) => one.route === route);
    const rows = [model, moment, route].join();
    if (rows !== this.shownRows) {
      this.shownRows = rows;
      norms.replaceChildren(...normRows(told.steps));
      lost.replaceChildren(...fall ? fallRows(fall, steps) : []);
    }
    fillNorms(norms, told.steps, step, this.scale);
    if (fall) fillFall(lost, fall, steps, step);
    for (const table of part("explorer").querySelectorAll(".equations")) {
      const shown = /** @type {HTMLElement} */ (table);
      shown.hidden = shown.dataset.model !== String(model) || equations.length === 0;
      if (!shown.hidden) fillEquations(shown, equations, this.scale, step);
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

/** @param {Place} otherwise @returns {Place} that of the address, whose step is kept */
function addressed(otherwise) {
  const said = new URLSearchParams(location.hash.slice(1));
  return { ...placeOf(said, otherwise), isPinned: said.has("step") };
}

const [data, codes] = ["data", "codes"].map((id) => part(id).textContent ?? "");
const everything = await unpacked(data, codes);
/** @type {NodeListOf<HTMLCanvasElement>} */
const swatches = document.querySelectorAll(".legend canvas");
for (const swatch of swatches) {
  const { kind = "", color = "" } = swatch.dataset;
  fill(swatch, { color, kind });
  swatch.after(WORDS[kind]);
}
guide(everything.tour, new Explorer(everything).view);
for (const frame of document.querySelectorAll(".scroll.wide")) {
  explored(/** @type {HTMLElement} */ (frame));
}
part("explorer").dataset.ready = "";
