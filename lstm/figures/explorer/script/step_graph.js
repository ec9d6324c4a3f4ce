/** All steps folded, and one of them as a graph, op by op, filled with the numbers of that step. */
import { told, WORDS } from "./amounts.js";
import { inside, part } from "./dom.js";

const ROOM = 11; // letters: more are written small
const REST = 50; // milliseconds after which it follows the pointer

/** @import { Layer, Op, Scale } from "./types.d.ts" */
/** @import { View } from "./view.js" */

export class StepGraph {
  /** @param {number} model of which it is @param {Record<string, Op>} ops @param {View} view */
  constructor(model, ops, view) {
    this.model = model;
    this.ops = ops;
    this.view = view;
    /** @type {Layer | null} */
    this.layer = null;
    /** @type {Scale | null} */
    this.scale = null; // of the layer
    this.steps = this.waits = 0; // of which there are numbers; to show one
    this.shown = this.at = ""; // the step, and the id of what is told of
    const figure = this.figure = part(`opened${model}`);
    this.pieces = [...figure.querySelectorAll("[data-op]")].flatMap((piece) => {
      const op = ops[noted(piece, "op")];
      const [gradient, value] = [".gradient", ".value"].map((of) => piece.querySelector(of));
      return op ? [{ piece, op, gradient, value }] : [];
    });
    figure.addEventListener("pointerover", ({ target }) => this.tell(noted(target, "op")));
    figure.addEventListener("focusin", ({ target }) => this.tell(noted(target, "op")));
    figure.addEventListener("click", ({ target }) => this.turn(target));
    figure.addEventListener("keydown", (event) => {
      if (event.key === "Escape") view.letGo();
      const isButton = noted(event.target, "by") || noted(event.target, "step");
      if (![" ", "Enter"].includes(event.key) || !isButton) return;
      event.preventDefault();
      this.turn(event.target);
    });
  }

  /** @param {EventTarget | null} target where it stands for a step, open that */
  turn(target) {
    const by = Number(noted(target, "by"));
    const step = Number(noted(target, "step")) || (by && this.view.place.step + by);
    if (step) this.view.open({ step });
  }

  /** @param {Layer | null} layer numbers @param {Scale} scale @param {string} what they are */
  set(layer, scale, what) {
    this.layer = layer;
    this.steps = layer?.data.high.shape[1] ?? 0;
    this.scale = scale;
    this.shown = "";
    inside(this.figure, ".less").textContent = what;
  }

  /** @param {number} row @returns {number} where its number of the step is */
  index(row) {
    return row * this.steps + this.view.place.step - 1;
  }

  /** @param {number} row @returns {string} */
  words(row) {
    return row < 0 ? WORDS.disconnected : this.layer?.words(this.index(row)) ?? "";
  }

  /** @param {number} row @returns {string} the number itself, whatever is taken from it */
  number(row) {
    const code = this.layer?.data.high.codes[this.index(row)];
    return code === undefined ? "" : told(code);
  }

  /** @param {boolean} isPointed whether to wait: half of what is painted for a step is here */
  follow(isPointed) {
    if (isPointed) this.waits ||= setTimeout(() => this.show(), REST);
    else this.show();
  }

  /** Fill in the numbers of the step that one looks at. */
  show() {
    clearTimeout(this.waits);
    this.waits = 0;
    const { step } = this.view.place;
    if (this.shown === String(step) || !this.scale) return;
    this.shown = String(step);
    const { arrows, colors } = this.scale;
    for (const when of this.figure.querySelectorAll(".when")) {
      when.textContent = step < this.steps ? `step ${step + 1}` : "after the last";
    }
    for (const { piece, op, gradient, value } of this.pieces) {
      const look = op.row < 0 ? null : this.layer?.look(this.index(op.row), false);
      const kind = look ? look.kind || String(colors.indexOf(look.color)) : "disconnected";
      const style = arrows[kind];
      if (piece.getAttribute("style") !== style) piece.setAttribute("style", style);
      const brief = this.words(op.row).split(",")[0];
      write(gradient, op.terms ? `∂ ${brief}` : brief);
      write(value, `‖${this.number(op.value)}‖`);
    }
    this.tell(this.at);
  }

  /** @param {string} id say all of a node, or of an arrow */
  tell(id) {
    const op = this.ops[id];
    if (!op) return;
    this.at = id;
    const from = op.terms?.map(([reader, row]) => `${reader} (${this.words(row)})`).join(", ");
    const said = [
      `t = ${this.view.place.step}, ${op.name}`,
      op.value >= 0 && `‖value‖ ${this.number(op.value)}`,
      `${op.what} ${this.words(op.row)}`.trim(),
      from && `it sums what comes from ${from}`,
      ...op.words,
    ];
    inside(this.figure, ".told").textContent = said.filter(Boolean).join("; ");
  }
}

/** @param {EventTarget | null} target @param {string} what @returns {string} what is noted at it */
function noted(target, what) {
  const holder = /** @type {Element} */ (target).closest(`[data-${what}]`);
  return holder?.getAttribute(`data-${what}`) ?? "";
}

/** @param {Element | null} text @param {string} words */
function write(text, words) {
  if (text) text.textContent = words;
  text?.classList.toggle("small", words.length > ROOM);
}
