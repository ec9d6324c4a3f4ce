/** A map of rows over steps on a canvas, with a cross where one looks, by pointer and by keys. */
import { kindOf, lookOf, numberOf, told } from "./amounts.js";
import { tileOf } from "./tiles.js";

const [LEAST_ROW, MOST_ROW, HEIGHT, BAND] = [2, 22, 260, 44]; // pixels: of rows, of many, of shares

/**
 * @typedef {import("./amounts.js").Scale} Scale
 * @typedef {import("./packed.js").Codes} Codes
 * @typedef {import("./view.js").View} View
 * @typedef {{ key: string, title: string, rows: string[], high: Codes, low?: Codes,
 *   each?: Codes, least?: Codes, most?: Codes, shares?: boolean, pairs?: boolean }} MapData
 */

export class HeatMap {
  /**
   * @param {HTMLElement} figure where it goes
   * @param {MapData} data @param {number[][]} runs the first and last step of each column
   * @param {Scale} scale @param {View} view
   */
  constructor(figure, data, runs, scale, view) {
    [this.figure, this.data, this.runs] = [figure, data, runs];
    [this.scale, this.view] = [scale, view];
    this.rows = data.rows.length;
    this.row = 0; // where one was last
    const row = Math.min(Math.max(HEIGHT / this.rows, LEAST_ROW), MOST_ROW);
    this.height = Math.round((data.shares ? BAND : row) * this.rows);
    this.canvas = /** @type {HTMLCanvasElement} */ (figure.querySelector("canvas"));
    this.mark = /** @type {HTMLElement} */ (figure.querySelector(".mark"));
    this.said = /** @type {HTMLElement} */ (figure.querySelector("output"));
    this.canvas.style.height = `${this.height}px`;
    /** @type {Map<string, CanvasPattern | string>} */
    this.paints = new Map();
    new ResizeObserver(() => this.paint()).observe(this.canvas);
    this.attend();
    view.listen((place) => this.show(place));
  }

  /** What moves the mark. */
  attend() {
    const frame = /** @type {HTMLElement} */ (this.canvas.parentElement);
    frame.addEventListener("pointermove", (event) => {
      const box = this.canvas.getBoundingClientRect();
      const column = Math.floor(((event.clientX - box.left) / box.width) * this.runs.length);
      const row = Math.floor(((event.clientY - box.top) / box.height) * this.rows);
      this.go(row, column);
    });
    frame.addEventListener("keydown", (event) => {
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
      if (!(event.key in places)) return;
      event.preventDefault();
      this.go(...places[event.key]);
    });
    frame.addEventListener("focus", () => {
      const isHere = this.view.place.map === this.data.key;
      if (!isHere) this.view.go({ map: this.data.key, row: this.row });
    });
  }

  /** @param {number} row @param {number} column go there, as near as there is something */
  go(row, column) {
    const clamped = (/** @type {number} */ k, /** @type {number} */ n) =>
      Math.min(Math.max(k, 0), n - 1);
    const [first] = this.runs[clamped(column, this.runs.length)];
    this.view.go({ step: first, row: clamped(row, this.rows), map: this.data.key });
  }

  /** @param {import("./view.js").Place} place @returns {{ row: number, column: number }} */
  at(place) {
    const column = this.runs.findIndex(([first, last]) => first <= place.step && place.step <= last);
    if (place.map === this.data.key) this.row = Math.min(place.row, this.rows - 1);
    return { row: this.row, column };
  }

  /** @param {number} code @returns {string | CanvasPattern} what it is painted with */
  paintOf(code) {
    const { color, kind } = lookOf(this.scale, code);
    if (!kind || kind === "inf") return color;
    if (kind === "none") return "transparent";
    const pen = /** @type {CanvasRenderingContext2D} */ (this.canvas.getContext("2d"));
    const tiled = this.paints.get(kind) ?? pen.createPattern(tileOf(kind, color), "repeat");
    this.paints.set(kind, tiled ?? color);
    return tiled ?? color;
  }

  paint() {
    const [dots, wide] = [window.devicePixelRatio || 1, this.canvas.clientWidth];
    this.canvas.width = Math.round(wide * dots);
    this.canvas.height = Math.round(this.height * dots);
    if (this.data.shares) this.paintShares();
    else this.paintCells();
  }

  /** All cells: where runs have a least and a largest number and there is room, both. */
  paintCells() {
    const pen = /** @type {CanvasRenderingContext2D} */ (this.canvas.getContext("2d"));
    const [columns, rows] = [this.runs.length, this.rows];
    const x = (/** @type {number} */ c) => Math.round((c / columns) * this.canvas.width);
    const y = (/** @type {number} */ r) => Math.round((r / rows) * this.canvas.height);
    const { high, low } = this.data;
    const isSplit = low !== undefined && this.height / rows >= 12;
    for (let r = 0; r < rows; r += 1) {
      for (let c = 0; c < columns; c += 1) {
        const place = r * columns + c;
        const [left, width] = [x(c), x(c + 1) - x(c)];
        pen.fillStyle = this.paintOf(high.codes[place]);
        pen.fillRect(left, y(r), width, y(r + 1) - y(r));
        if (!isSplit || low === undefined) continue;
        const middle = y(r + 0.5);
        pen.clearRect(left, middle, width, y(r + 1) - middle);
        pen.fillStyle = this.paintOf(low.codes[place]);
        pen.fillRect(left, middle, width, y(r + 1) - middle);
      }
    }
  }

  /** Shares from 0, at the foot of a row, to 1: a band from the least to the most, and the mean. */
  paintShares() {
    const pen = /** @type {CanvasRenderingContext2D} */ (this.canvas.getContext("2d"));
    const { high, low = high, least = low, most = high } = this.data;
    const [columns, width] = [this.runs.length, this.canvas.width / this.runs.length];
    const row = this.canvas.height / this.rows;
    const style = getComputedStyle(this.canvas);
    const share = (/** @type {number} */ code) => (kindOf(code) === "zero" ? 0 : numberOf(code));
    const bars = (/** @type {Codes} */ from, /** @type {Codes} */ to, /** @type {number} */ thin) => {
      for (let k = 0; k < from.codes.length; k += 1) {
        const [foot, [a, b]] = [1 + Math.floor(k / columns), [share(from.codes[k]), share(to.codes[k])]];
        const [top, height] = [(foot - b) * row, Math.max((b - a) * row, thin)];
        pen.fillRect((k % columns) * width, Math.min(top, foot * row - height), width, height);
      }
    };
    pen.fillStyle = style.getPropertyValue("--faint");
    for (let k = 1; k < this.rows; k += 1) pen.fillRect(0, k * row, this.canvas.width, 1);
    bars(least, most, 0);
    pen.fillStyle = style.getPropertyValue("--ink");
    bars(low, high, row / 16);
  }

  /** @param {import("./view.js").Place} place mark it, and say what is there */
  show(place) {
    const { row, column } = this.at(place);
    const isHere = place.map === this.data.key;
    const box = this.mark.style;
    box.left = `${(100 * column) / this.runs.length}%`;
    box.width = `${100 / this.runs.length}%`;
    box.top = isHere ? `${(100 * row) / this.rows}%` : "0";
    box.height = isHere ? `${100 / this.rows}%` : "100%";
    this.said.textContent = isHere ? this.words(row, column) : "";
  }

  /** @param {number} row @param {number} column @returns {string} what a cell says */
  words(row, column) {
    const [first, last] = this.runs[column];
    const [place, many] = [row * this.runs.length + column, first !== last];
    const [high, low] = [this.data.high.codes[place], this.data.low?.codes[place]];
    const where = `t = ${many ? `${first} to ${last}` : first}, ${this.data.rows[row]}: `;
    const what = low === undefined || low === high ? told(high) : `${told(low)} to ${told(high)}`;
    const { least, most } = this.data;
    if (kindOf(high) === "none" || !least || !most) return where + what;
    return `${where}${what}, from ${told(least.codes[place])} to ${told(most.codes[place])}`;
  }
}
