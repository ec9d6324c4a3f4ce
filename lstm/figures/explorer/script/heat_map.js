/** A map of rows over steps on a canvas, with a mark where one looks, by pointer and by keys. */
import { kindOf, numberOf } from "./amounts.js";
import { element, inside } from "./dom.js";
import { tileOf } from "./tiles.js";
import { fragmentOf } from "./view.js";

const [LEAST_ROW, MOST_ROW, HEIGHT] = [2, 22, 260]; // pixels: of a row, and of many
const [BAND, SPLIT, NAMED] = [44, 12, 8]; // pixels of shares, and to be split; rows with names

/**
 * @typedef {import("./layers.js").Layer} Layer
 * @typedef {import("./packed.js").Codes} Codes
 * @typedef {import("./view.js").View} View
 * @typedef {import("./view.js").Place} Place
 */

export class HeatMap {
  /** @param {string} key @param {HTMLElement} figure where it is @param {View} view */
  constructor(key, figure, view) {
    this.key = key;
    this.figure = figure;
    this.view = view;
    this.row = 0; // where one was last
    /** @type {(step: number) => string} its token, as it is told; of none nothing */
    this.word = () => "";
    /** @type {Layer | null} */
    this.layer = null;
    /** @type {number[][]} the first and the last step of each column */
    this.runs = [[1, 1]];
    this.height = 0;
    this.canvas = /** @type {HTMLCanvasElement} */ (inside(figure, "canvas"));
    this.frame = inside(figure, ".frame");
    this.mark = inside(figure, ".mark");
    this.said = inside(figure, "output");
    /** @type {Map<string, CanvasPattern | string>} */
    this.paints = new Map();
    new ResizeObserver(() => this.paint()).observe(this.canvas);
    this.attend();
    view.listen((place) => this.show(place));
  }

  /** @param {Layer | null} layer what to show; null: nothing @param {number[][]} runs */
  set(layer, runs) {
    this.layer = layer;
    this.runs = runs;
    this.figure.hidden = layer === null;
    if (layer === null) return;
    const rows = layer.rows.length;
    const row = layer.data.shares ? BAND : Math.min(Math.max(HEIGHT / rows, LEAST_ROW), MOST_ROW);
    this.height = Math.round(row * rows);
    this.canvas.style.height = `${this.height}px`;
    this.frame.setAttribute("aria-label", layer.title);
    inside(this.figure, "h3").textContent = layer.title;
    inside(this.figure, ".last").textContent = `t = ${runs[runs.length - 1][1]}`;
    const names = inside(this.figure, ".names");
    const listed = rows > NAMED ? [layer.rows[0], layer.rows[rows - 1]] : layer.rows;
    names.classList.toggle("ends-only", rows > NAMED);
    names.replaceChildren(...listed.map((name) => element("span", name)));
    this.paint();
  }

  get rows() {
    return this.layer?.rows.length ?? 1;
  }

  /** What moves the mark. */
  attend() {
    this.frame.addEventListener("pointermove", (event) => {
      if (!this.view.isPinned) this.go(...this.under(event));
    });
    this.frame.addEventListener("click", (event) => {
      const before = fragmentOf(this.view.place);
      this.go(...this.under(event));
      this.view.pin(!this.view.isPinned || fragmentOf(this.view.place) !== before);
    });
    this.frame.addEventListener("keydown", (event) => {
      const { row, column } = this.at(this.view.place);
      /** @type {Record<string, [number, number]>} */
      const places = {
        ArrowLeft: [row, column - 1],
        ArrowRight: [row, column + 1],
        ArrowUp: [row - 1, column],
        ArrowDown: [row + 1, column],
        Home: [row, 0],
        End: [row, this.runs.length - 1],
        PageUp: [row - 10, column],
        PageDown: [row + 10, column],
      };
      if (event.key === "Escape") this.view.pin(false);
      if (!(event.key in places)) return;
      event.preventDefault();
      this.go(...places[event.key]);
    });
    this.frame.addEventListener("focus", () => {
      if (this.view.place.map !== this.key) this.view.go({ map: this.key, row: this.row });
    });
  }

  /** @param {MouseEvent} event @returns {[number, number]} the row and the column it is at */
  under(event) {
    const box = this.canvas.getBoundingClientRect();
    const column = Math.floor(((event.clientX - box.left) / box.width) * this.runs.length);
    return [Math.floor(((event.clientY - box.top) / box.height) * this.rows), column];
  }

  /** @param {number} row @param {number} column go there, as near as there is something */
  go(row, column) {
    const clamped = (/** @type {number} */ k, /** @type {number} */ n) =>
      Math.min(Math.max(k, 0), n - 1);
    const [first] = this.runs[clamped(column, this.runs.length)];
    this.view.go({ step: first, row: clamped(row, this.rows), map: this.key });
  }

  /** @param {Place} place @returns {{ row: number, column: number }} */
  at(place) {
    const last = this.runs.findIndex((run) => place.step <= run[1]);
    const column = last < 0 ? this.runs.length - 1 : last;
    if (place.map === this.key) this.row = Math.min(place.row, this.rows - 1);
    return { row: this.row, column };
  }

  /** @param {number} k @param {boolean} isLow @returns {string | CanvasPattern} what paints it */
  paintOf(k, isLow) {
    const { color, kind } = /** @type {Layer} */ (this.layer).look(k, isLow);
    if (!kind || kind === "inf" || kind === "even") return color;
    if (kind === "none") return "transparent";
    const known = this.paints.get(kind);
    if (known) return known;
    const made = this.pen.createPattern(tileOf(kind, color), "repeat") ?? color;
    this.paints.set(kind, made);
    return made;
  }

  get pen() {
    return /** @type {CanvasRenderingContext2D} */ (this.canvas.getContext("2d"));
  }

  paint() {
    if (this.layer === null) return;
    const dots = window.devicePixelRatio || 1;
    this.canvas.width = Math.round(this.canvas.clientWidth * dots);
    this.canvas.height = Math.round(this.height * dots);
    if (this.layer.data.shares) this.paintShares(this.layer);
    else this.paintCells(this.layer);
  }

  /** @param {Layer} layer where runs have a least and a largest number and there is room, both */
  paintCells(layer) {
    const { canvas, pen, rows, runs: { length: columns } } = this;
    const x = (/** @type {number} */ c) => Math.round((c / columns) * canvas.width);
    const y = (/** @type {number} */ r) => Math.round((r / rows) * canvas.height);
    const isSplit = layer.isSplit && this.height / rows >= SPLIT;
    for (let r = 0; r < rows; r += 1) {
      for (let c = 0; c < columns; c += 1) {
        const place = r * columns + c;
        const [left, width] = [x(c), x(c + 1) - x(c)];
        const foot = isSplit ? y(r + 0.5) : y(r + 1);
        pen.fillStyle = this.paintOf(place, false);
        pen.fillRect(left, y(r), width, foot - y(r));
        if (!isSplit) continue;
        pen.fillStyle = this.paintOf(place, true);
        pen.fillRect(left, foot, width, y(r + 1) - foot);
      }
    }
  }

  /** @param {Layer} layer shares from 0, at a row's foot, to 1: the mean in a band of extremes */
  paintShares({ data }) {
    const { canvas, pen, rows, runs: { length: columns } } = this;
    const { high, low = high, least = low, most = high } = data;
    const [width, row, style] = [
      canvas.width / columns,
      canvas.height / rows,
      getComputedStyle(canvas),
    ];
    const share = (/** @type {number} */ code) => kindOf(code) ? 0 : numberOf(code);
    /** @param {Codes} from @param {Codes} to @param {number} thin */
    const bars = (from, to, thin) => {
      for (let k = 0; k < from.codes.length; k += 1) {
        const foot = (1 + Math.floor(k / columns)) * row;
        const [a, b] = [share(from.codes[k]), share(to.codes[k])];
        const height = Math.max((b - a) * row, thin);
        pen.fillRect((k % columns) * width, Math.min(foot - b * row, foot - height), width, height);
      }
    };
    pen.fillStyle = style.getPropertyValue("--faint");
    for (let k = 1; k < rows; k += 1) pen.fillRect(0, k * row, canvas.width, 1);
    bars(least, most, 0);
    pen.fillStyle = style.getPropertyValue("--ink");
    bars(low, high, row / 16);
  }

  /** @param {Place} place mark it, and say what is there */
  show(place) {
    if (this.layer === null) return;
    const { row, column } = this.at(place);
    const isHere = place.map === this.key;
    this.mark.classList.toggle("pinned", this.view.isPinned);
    const box = this.mark.style;
    box.left = `${(100 * column) / this.runs.length}%`;
    box.width = `${100 / this.runs.length}%`;
    box.top = isHere ? `${(100 * row) / this.rows}%` : "0";
    box.height = isHere ? `${100 / this.rows}%` : "100%";
    const [first, last] = this.runs[column];
    const when = first === last ? `t = ${first}${this.word(first)}` : `t = ${first} to ${last}`;
    const words = this.layer.words(row * this.runs.length + column);
    this.said.textContent = isHere ? `${when}, ${this.layer.rows[row]}: ${words}` : "";
  }
}
