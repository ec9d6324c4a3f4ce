/** What was read at each step, below the maps, with bows from the step that one looks at. */
import { kindOf, lookOf, told } from "./amounts.js";
import { element, inside } from "./dom.js";
import { HeatMap } from "./heat_map.js";
import { mapIn, stepWords, tokenAt } from "./moment.js";

const [BOWS, WORD, WIDE] = [44, 13, 5]; // pixels: of bows, of a word on its side, of a bow at most
const SAID = 3; // so many of the strongest are told

/** @import { Moment, Place, Scale } from "./types.d.ts" */
/** @import { View } from "./view.js" */

export class TokenAxis extends HeatMap {
  /** @param {HTMLElement} figure @param {View} view @param {Scale} scale */
  constructor(figure, view, scale) {
    super(figure, view);
    this.scale = scale;
    /** @type {HTMLElement[]} whose maps have rows that are bows, above the words and below */
    this.bands = Array.from(figure.querySelectorAll(".names span"));
    this.words = inside(figure, ".words");
    this.sequence = this.column = -1; // of what is painted
    this.frame.setAttribute("aria-label", "Tokens that were read");
  }

  /** @override @param {Moment} moment */
  set(moment) {
    this.moment = moment;
    this.columns = moment.runs.length;
    this.sequence = -1;
    const { tokens } = moment;
    this.figure.hidden = tokens === null;
    this.figure.classList.toggle("letters", !tokens?.names.some((name) => name.length > 1));
    this.figure.classList.toggle("without-bows", !this.high);
    inside(this.figure, ".last").textContent = `t = ${moment.steps.steps}`;
  }

  /** @returns {number} pixels of the bows on a side; 0 where there is nothing to draw bows of */
  get high() {
    const { moment } = this;
    const has = moment && this.bands.some(({ dataset: { key = "" } }) => mapIn(moment, key));
    return has ? BOWS : 0;
  }

  /** @override */
  paint() {
    this.sequence = -1;
    this.show(this.view.place);
  }

  /** @param {Moment} moment @param {number} sequence whose words are to stand under their steps */
  write(moment, sequence) {
    const width = this.canvas.clientWidth / this.columns;
    const every = Math.ceil(WORD / Math.max(width, 0.1)); // of words, that they have room
    const words = moment.runs.map(([first], k) => {
      const word = element("span", tokenAt(moment, sequence, first));
      word.style.left = `${(100 * (k + 0.5)) / this.columns}%`;
      word.classList.toggle("between", k % every !== 0);
      return word;
    });
    this.words.replaceChildren(...words);
    this.words.style.top = `${this.high}px`;
    this.height = 2 * this.high + this.words.offsetHeight;
    this.clear();
  }

  /** @param {Moment} moment @param {number} column @returns {number[][]} codes of ties, by band */
  ties(moment, column) {
    return this.bands.map(({ dataset: { key = "" } }) => {
      const codes = mapIn(moment, key)?.high.codes ?? [];
      return [...codes.slice(column * this.columns, (column + 1) * this.columns)];
    });
  }

  /** @param {number[][]} ties @param {number} column from which bows go to all that it is tied to */
  drawBows(ties, column) {
    const { canvas, pen, scale } = this;
    const dots = window.devicePixelRatio || 1;
    pen.setTransform(dots, 0, 0, dots, 0, 0);
    pen.clearRect(0, 0, canvas.width, canvas.height);
    const each = canvas.clientWidth / this.columns;
    const widest = Math.min(Math.max(each / 3, 1), WIDE);
    ties.forEach((codes, band) => {
      const [foot, up] = band === 0 ? [this.high, -1] : [this.height - this.high, 1];
      const order = [...codes.keys()].sort((a, b) => codes[a] - codes[b]);
      for (const k of order) {
        const { color, kind } = lookOf(scale, codes[k]);
        if (["none", "zero", "disconnected", "nan"].includes(kind)) continue;
        const share = scale.colors.indexOf(color) / Math.max(scale.colors.length - 1, 1);
        const far = Math.sqrt(Math.abs(column - k) / this.columns);
        const tip = foot + up * this.high * (0.25 + 0.7 * far);
        const [from, to] = [(column + 0.5) * each, (k + 0.5) * each];
        pen.strokeStyle = color;
        pen.setLineDash(kind && kind !== "inf" ? [2, 3] : []);
        pen.lineWidth = kind ? 1 : 1 + (widest - 1) * share;
        pen.beginPath();
        pen.moveTo(from, foot);
        if (k === column) pen.lineTo(from, (foot + tip) / 2);
        else pen.bezierCurveTo(from, tip, to, tip, to, foot);
        pen.stroke();
      }
    });
  }

  /** @override @param {Place} place say what it has to do with which others, and draw it */
  show(place) {
    const { moment } = this;
    const column = this.columnAt(place);
    if (!moment?.tokens || (place.sequence === this.sequence && column === this.column)) return;
    if (place.sequence !== this.sequence) this.write(moment, place.sequence);
    [this.sequence, this.column] = [place.sequence, column];
    const ties = this.ties(moment, column);
    this.drawBows(ties, column);
    this.words.querySelector(".at")?.classList.remove("at");
    this.words.children[column].classList.add("at");
    const at = (/** @type {number} */ k) => stepWords(moment, place.sequence, moment.runs[k][0]);
    const said = ties.map((codes, band) => {
      const known = [...codes.keys()].filter((k) => !kindOf(codes[k]));
      const most = known.sort((a, b) => codes[b] - codes[a]).slice(0, SAID);
      const strongest = most.map((k) => `${at(k)} ${told(codes[k])}`);
      return most.length ? `${this.bands[band].textContent} ${strongest.join(", ")}` : "";
    });
    const all = said.filter(Boolean).join("; ");
    this.said.textContent = all ? `${at(column)}: ${all}` : at(column);
  }
}
