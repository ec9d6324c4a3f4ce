/** A map of rows over steps on a canvas, with a mark where one looks, by pointer and by keys. */
import { kindOf, numberOf } from "./amounts.js";
import { element, inside } from "./dom.js";
import { columnOf, stepWords, within } from "./moment.js";
import { penOf, textureOf } from "./tiles.js";

const [LEAST_ROW, MOST_ROW, HEIGHT] = [2, 22, 260]; // pixels: of a row, and of many
const [LEAST_BAND, BAND] = [16, 44]; // the same of shares
const [SPLIT, NAMED] = [12, 14]; // pixels to be split, and to have a name

/** @import { Codes, Layer, Moment, Place } from "./types.d.ts" */
/** @import { View } from "./view.js" */

export class HeatMap {
  /** @param {HTMLElement} figure where it is @param {View} view */
  constructor(figure, view) {
    this.key = figure.dataset.map ?? "";
    this.figure = figure;
    this.view = view;
    this.row = 0; // where one was last
    this.rows = 1;
    this.columns = 1;
    this.height = 0;
    /** @type {Layer | null} */
    this.layer = null;
    /** @type {Moment | null} */
    this.moment = null;
    /** @type {HTMLCanvasElement} */
    this.canvas = inside(figure, "canvas");
    this.pen = penOf(this.canvas);
    this.frame = inside(figure, ".frame");
    this.mark = inside(figure, ".mark");
    this.said = inside(figure, "output");
    /** @type {Map<string, CanvasPattern | string>} */
    this.paints = new Map();
    new ResizeObserver(() => this.paint()).observe(this.canvas);
    this.attend();
  }

  /** @param {Moment} moment @param {Layer | null} layer of it, to be shown; null: nothing */
  set(moment, layer) {
    this.moment = moment;
    this.layer = layer;
    this.columns = moment.runs.length;
    this.figure.hidden = layer === null;
    if (layer === null) return;
    const rows = layer.rows.length;
    const [least, most] = layer.data.shares ? [LEAST_BAND, BAND] : [LEAST_ROW, MOST_ROW];
    const row = Math.min(Math.max(HEIGHT / rows, least), most);
    this.rows = rows;
    this.height = Math.round(row * rows);
    this.frame.setAttribute("aria-label", layer.title);
    inside(this.figure, "h3").textContent = layer.title;
    inside(this.figure, ".last").textContent = `t = ${moment.steps.steps}`;
    const names = inside(this.figure, ".names");
    const listed = row < NAMED ? [layer.rows[0], layer.rows[rows - 1]] : layer.rows;
    names.classList.toggle("ends-only", row < NAMED);
    names.replaceChildren(...listed.map((name) => element("span", name)));
    this.paint();
  }

  /** What moves the mark. */
  attend() {
    let from = 0; // where the pointer was pressed last
    this.frame.addEventListener("pointerdown", (event) => {
      if (event.button) return;
      from = this.under(event).step ?? 0;
      this.frame.setPointerCapture(event.pointerId);
    });
    this.frame.addEventListener("pointermove", (event) => {
      const there = this.under(event);
      const isDragged = this.frame.hasPointerCapture(event.pointerId);
      if (isDragged && (there.step !== from || this.view.place.from)) {
        this.view.go({ ...there, from }, true);
      } else if (!this.view.place.isPinned) this.view.go(there, true);
    });
    this.frame.addEventListener("click", (event) => {
      const { step, row, map, isPinned } = this.view.place;
      const there = this.under(event);
      if (there.step !== from) return; // it was dragged
      const isSame = there.step === step && there.row === row && map === this.key;
      if (isPinned && isSame) this.view.letGo();
      else this.view.open(there);
    });
    this.frame.addEventListener("keydown", (event) => {
      const column = this.columnAt(this.view.place);
      /** @type {Record<string, [number, number]>} */
      const places = {
        ArrowLeft: [this.row, column - 1],
        ArrowRight: [this.row, column + 1],
        ArrowUp: [this.row - 1, column],
        ArrowDown: [this.row + 1, column],
        Home: [this.row, 0],
        End: [this.row, this.columns - 1],
        PageUp: [this.row - 10, column],
        PageDown: [this.row + 10, column],
      };
      if (event.key === "Escape") this.view.letGo();
      if (!(event.key in places)) return;
      event.preventDefault();
      const { step, from: end } = this.view.place;
      this.view.go({
        ...this.nearest(...places[event.key]),
        from: event.shiftKey ? end || step : 0,
      });
    });
    this.frame.addEventListener("focus", () => {
      if (this.view.place.map !== this.key) this.view.go({ map: this.key, row: this.row });
    });
  }

  /** @param {MouseEvent} event @returns {Partial<Place>} where it is */
  under(event) {
    const { left, top, width, height } = this.canvas.getBoundingClientRect();
    const row = Math.floor(((event.clientY - top) / height) * this.rows);
    return this.nearest(row, Math.floor(((event.clientX - left) / width) * this.columns));
  }

  /** @param {number} row @param {number} column @returns {Partial<Place>} the nearest that is */
  nearest(row, column) {
    const [step] = this.moment?.runs[within(column, this.columns)] ?? [1];
    return { step, row: within(row, this.rows), map: this.key };
  }

  /** @param {Place} place @returns {number} the column that holds its step */
  columnAt({ step }) {
    return this.moment ? columnOf(this.moment, step) : 0;
  }

  /** @param {number} k @param {boolean} isLow @returns {string | CanvasPattern} what paints it */
  paintOf(k, isLow) {
    const { color, kind } = /** @type {Layer} */ (this.layer).look(k, isLow);
    if (!kind || kind === "none") return color || "transparent";
    const known = this.paints.get(kind) ?? textureOf(kind, color);
    this.paints.set(kind, known);
    return known;
  }

  /** Make the canvas as large as it is shown, and empty. */
  clear() {
    const dots = window.devicePixelRatio || 1;
    this.canvas.style.height = `${this.height}px`;
    this.canvas.width = Math.round(this.canvas.clientWidth * dots);
    this.canvas.height = Math.round(this.height * dots);
  }

  paint() {
    if (this.layer === null) return;
    this.clear();
    if (this.layer.data.shares) this.paintShares(this.layer);
    else this.paintCells(this.layer);
  }

  /** @param {Layer} layer where runs have a least and a largest number and there is room, both */
  paintCells(layer) {
    const { canvas, pen, rows, columns } = this;
    const x = (/** @type {number} */ c) => Math.round((c / columns) * canvas.width);
    const y = (/** @type {number} */ r) => Math.round((r / rows) * canvas.height);
    const isSplit = layer.isSplit && this.height / rows >= SPLIT;
    for (let r = 0; r < rows; r += 1) {
      const foot = isSplit ? y(r + 0.5) : y(r + 1);
      for (let c = 0; c < columns; c += 1) {
        pen.fillStyle = this.paintOf(r * columns + c, false);
        pen.fillRect(x(c), y(r), x(c + 1) - x(c), foot - y(r));
        if (!isSplit) continue;
        pen.fillStyle = this.paintOf(r * columns + c, true);
        pen.fillRect(x(c), foot, x(c + 1) - x(c), y(r + 1) - foot);
      }
    }
  }

  /** @param {Layer} layer shares from 0, at a row's foot, to 1: the mean in a band of extremes */
  paintShares({ data }) {
    const { canvas, pen, rows, columns } = this;
    const { high, low = high, least = low, most = high } = data;
    const [width, row] = [canvas.width / columns, canvas.height / rows];
    /** @param {Codes} from @param {Codes} to @param {number} thin pixels that are seen at least
     * @param {string} name of the colour; what is no share fills its cell, as in other maps */
    const bars = (from, to, thin, name) => {
      const color = style.getPropertyValue(name);
      for (let k = 0; k < rows * columns; k += 1) {
        const isShare = ["", "zero"].includes(kindOf(high.codes[k]));
        pen.fillStyle = isShare ? color : this.paintOf(k, false);
        const [a, b] = isShare
          ? [from, to].map(({ codes }) => (numberOf(codes[k]) || 0) * row)
          : [0, row];
        const height = Math.max(b - a, thin);
        const foot = (1 + Math.floor(k / columns)) * row;
        pen.fillRect((k % columns) * width, foot - Math.max(b, height), width, height);
      }
    };
    const style = getComputedStyle(canvas);
    pen.fillStyle = style.getPropertyValue("--faint");
    for (let k = 1; k < rows; k += 1) pen.fillRect(0, k * row, canvas.width, 1);
    bars(least, most, 0, "--faint");
    bars(low, high, row / 16, "--ink");
  }

  /** @param {Place} place mark its row, and say what is there */
  show(place) {
    const { layer, moment } = this;
    if (!layer || !moment) return;
    const isHere = place.map === this.key;
    if (isHere) this.row = Math.min(place.row, this.rows - 1);
    this.mark.style.top = isHere ? `${(100 * this.row) / this.rows}%` : "0";
    this.mark.style.height = isHere ? `${100 / this.rows}%` : "100%";
    const column = this.columnAt(place);
    const [first, last] = moment.runs[column];
    const when = first === last
      ? stepWords(moment, place.sequence, first)
      : `t = ${first} to ${last}`;
    const words = layer.words(this.row * this.columns + column);
    this.said.textContent = isHere ? `${when}, ${layer.rows[this.row]}: ${words}` : "";
  }
}
