/** What was read at each step, below the maps, with bows from the step that one looks at. */
import { kindOf, lookOf, told } from "./amounts.js";
import { element, inside, part } from "./dom.js";
import { HeatMap } from "./heat_map.js";

const [BOWS, WORD, WIDE] = [44, 13, 5]; // pixels: of bows, of a word on its side, of a bow at most
const SAID = 3; // so many of the strongest are told
/** @type {[string, string][]} maps of which a row is bows, above the words and below */
const BANDS = [["influence", "its output is changed most by"], [
  "itemised",
  "its loss teaches most",
]];

/**
 * @typedef {import("./amounts.js").Scale} Scale
 * @typedef {import("./controls.js").Moment} Moment
 * @typedef {import("./layers.js").MapData} MapData
 * @typedef {import("./view.js").Place} Place
 * @typedef {import("./view.js").View} View
 */

/** @param {Moment} moment @param {Place} place @param {number} step @returns {string} its token */
export function wordAt({ tokens, steps }, { sequence }, step) {
  const id = tokens?.ids.codes[sequence * steps.steps + step - 1] ?? -1;
  return tokens && id >= 0 ? tokens.names[id] : "";
}

/** @param {string} word @returns {string} it in quotes, after what is said of its step */
export function quoted(word) {
  return word && ` “${word}”`;
}

export class TokenAxis extends HeatMap {
  /** @param {HTMLElement} figure @param {View} view @param {Scale} scale */
  constructor(figure, view, scale) {
    super("tokens", figure, view);
    this.scale = scale;
    /** @type {Moment | null} */
    this.moment = null;
    this.sequence = -1; // whose words are painted
    this.high = BOWS; // of the bows on a side; 0 where there is nothing to draw bows of
    this.words = element("div");
    this.words.className = "words";
    this.frame.append(this.words);
    this.frame.setAttribute("aria-label", "Tokens that were read");
    inside(figure, "h3").replaceChildren(part("sequences"));
    inside(figure, ".ends :nth-child(2)").textContent = "bows are of all sequences together";
    part("sequences").hidden = false;
    const names = inside(figure, ".names");
    names.classList.add("bands");
    names.replaceChildren(...BANDS.map(([, words]) => element("span", words)));
    const select = /** @type {HTMLSelectElement} */ (part("sequence"));
    select.addEventListener("change", () => view.go({ sequence: Number(select.value) }));
    part("maps").append(figure);
  }

  /** @param {Moment} moment */
  tell(moment) {
    this.moment = moment.tokens ? moment : null;
    this.figure.hidden = this.moment === null;
    this.high = BANDS.some(([key]) => moment.maps.some((map) => map.key === key)) ? BOWS : 0;
    const named = [...this.figure.querySelectorAll(".names span, .ends :nth-child(2)")];
    for (const words of named) words.classList.toggle("empty", !this.high);
    this.runs = moment.runs;
    inside(this.figure, ".last").textContent = `t = ${moment.steps.steps}`;
    const count = moment.tokens?.ids.shape[0] ?? 0;
    const options = Array.from({ length: count }, (_, k) => new Option(String(k + 1), String(k)));
    part("sequence").replaceChildren(...options);
    this.figure.classList.toggle("letters", !moment.tokens?.names.some((x) => x.length > 1));
    this.paint();
  }

  /** @override */
  paint() {
    if (!this.moment) return;
    const { place } = this.view;
    this.sequence = place.sequence;
    const dots = window.devicePixelRatio || 1;
    const width = this.canvas.clientWidth / this.runs.length;
    const every = Math.ceil(WORD / Math.max(width, 0.1)); // of words, that they have room
    const { column } = this.at(place);
    const words = this.runs.map(([first], k) => {
      const word = element("span", wordAt(/** @type {Moment} */ (this.moment), place, first));
      word.style.left = `${(100 * (k + 0.5)) / this.runs.length}%`;
      if (k % every !== 0) word.classList.add("between");
      return word;
    });
    this.words.replaceChildren(...words);
    this.height = 2 * this.high + this.words.offsetHeight;
    this.words.style.top = `${this.high}px`;
    this.canvas.style.height = `${this.height}px`;
    this.canvas.width = Math.round(this.canvas.clientWidth * dots);
    this.canvas.height = Math.round(this.height * dots);
    this.bows(column);
  }

  /** @param {string} key @param {number} column @returns {number[]} codes of its row of a map */
  codesIn(key, column) {
    const data = this.moment?.maps.find((map) => map.key === key);
    const columns = this.runs.length;
    return data ? [...data.high.codes.subarray(column * columns, (column + 1) * columns)] : [];
  }

  /** @param {number} column from which bows go to all that its step was influenced by, and taught */
  bows(column) {
    const { canvas, pen, scale } = this;
    const dots = window.devicePixelRatio || 1;
    pen.setTransform(dots, 0, 0, dots, 0, 0);
    pen.clearRect(0, 0, canvas.width, canvas.height);
    const each = canvas.clientWidth / this.runs.length;
    const widest = Math.min(Math.max(each / 3, 1), WIDE);
    BANDS.forEach(([key], band) => {
      const codes = this.codesIn(key, column);
      const order = [...codes.keys()].sort((a, b) => codes[a] - codes[b]);
      for (const k of order) {
        const { color, kind } = lookOf(scale, codes[k]);
        if (["none", "zero", "disconnected", "nan"].includes(kind)) continue;
        const foot = band === 0 ? this.high : this.height - this.high;
        const tip = foot + (band === 0 ? -1 : 1) * this.high * (0.25 + 0.7 * Math.sqrt(
                  Math.abs(column - k) / this.runs.length,
                ));
        pen.strokeStyle = color;
        pen.setLineDash(kind && kind !== "inf" ? [2, 3] : []);
        pen.lineWidth = kind ? 1 : 1 + (widest - 1) * scale.colors.indexOf(color) /
            Math.max(scale.colors.length - 1, 1);
        const [from, to] = [(column + 0.5) * each, (k + 0.5) * each];
        pen.beginPath();
        pen.moveTo(from, foot);
        if (k === column) pen.lineTo(from, (foot + tip) / 2);
        else pen.bezierCurveTo(from, tip, to, tip, to, foot);
        pen.stroke();
      }
    });
  }

  /** @override @param {Place} place mark it, and say what it has to do with which others */
  show(place) {
    if (!this.moment) return;
    const { column } = this.at(place);
    const select = /** @type {HTMLSelectElement} */ (part("sequence"));
    select.value = String(place.sequence);
    if (this.sequence !== place.sequence) this.paint();
    else this.bows(column);
    for (const [k, word] of [...this.words.children].entries()) {
      word.classList.toggle("at", k === column);
    }
    this.mark.classList.toggle("pinned", this.view.isPinned);
    this.mark.style.left = `${(100 * column) / this.runs.length}%`;
    this.mark.style.width = `${100 / this.runs.length}%`;
    this.mark.style.top = "0";
    this.mark.style.height = "100%";
    const { moment } = this;
    const at = (/** @type {number} */ k) =>
      `t = ${this.runs[k][0]}${quoted(wordAt(moment, place, this.runs[k][0]))}`;
    const ties = BANDS.map(([key, words]) => {
      const codes = this.codesIn(key, column);
      const most = [...codes.keys()].filter((k) => !kindOf(codes[k])).sort((a, b) =>
        codes[b] - codes[a]
      );
      const strongest = most.slice(0, SAID).map((k) => `${at(k)} ${told(codes[k])}`);
      return strongest.length ? `${words} ${strongest.join(", ")}` : "";
    });
    const all = ties.filter(Boolean).join("; ");
    this.said.textContent = all ? `${at(column)}: ${all}` : at(column);
  }
}
