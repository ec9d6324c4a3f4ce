/** What chooses a model, another to take from it, and a moment; and what explains the colours. */
import { WORDS } from "./amounts.js";
import { element, part } from "./dom.js";
import { swatchOf } from "./tiles.js";

/**
 * @typedef {import("./amounts.js").Scale} Scale
 * @typedef {import("./layers.js").Layer} Layer
 * @typedef {import("./packed.js").Codes} Codes
 * @typedef {import("./view.js").View} View
 * @typedef {import("./layers.js").MapData} MapData
 * @typedef {import("./step_panel.js").Steps} Steps
 * @typedef {{ label: string, sentences: string[], runs: number[][], maps: MapData[],
 *   steps: Steps, tokens: { names: string[], ids: Codes } | null }} Moment
 * @typedef {{ name: string, moments: Moment[] }} Model
 */

/** @param {Model[]} models @param {View} view */
export function control(models, view) {
  const [less, moment] = [part("less"), part("moment")];
  const selects = /** @type {HTMLSelectElement} */ (less);
  const slider = /** @type {HTMLInputElement} */ (moment);
  const radios = models.map(({ name }, k) => {
    const radio = Object.assign(document.createElement("input"), { type: "radio", name: "model" });
    radio.addEventListener("change", () => {
      view.go({ model: k });
    });
    part("models").append(element("label", radio, ` ${name}`));
    return radio;
  });
  const most = Math.max(...models.map(({ moments }) => moments.length));
  part("models").hidden = models.length < 2;
  part("moments").hidden = most < 2;
  part("controls").hidden = models.length < 2 && most < 2;
  selects.addEventListener("change", () => view.go({ less: Number(selects.value) }));
  slider.addEventListener("input", () => view.go({ moment: Number(slider.value) }));
  let shown = -1;
  view.listen(({ model, moment, less }) => {
    radios[model].checked = true;
    if (model !== shown) {
      const others = models.map(({ name, moments: [{ label }] }, k) =>
        new Option(k === model ? `itself, ${label}` : name, String(k))
      );
      const isOne = models[model].moments.length < 2;
      const offered = others.filter((_, k) => k !== model || !isOne);
      selects.replaceChildren(new Option("nothing", "-1"), ...offered);
    }
    shown = model;
    selects.value = String(less);
    slider.max = String(models[model].moments.length - 1);
    slider.value = String(moment);
    part("when").textContent = models[model].moments[moment].label;
    slider.setAttribute("aria-valuetext", models[model].moments[moment].label);
  });
}

/**
 * Write down what colours mean.
 * @param {string} id of the list @param {Scale} scale @param {Layer[]} layers in which they are
 */
export function explain(id, scale, layers) {
  /** @type {Set<string>} */
  const kinds = new Set();
  for (const layer of layers) {
    if (layer.data.shares) continue;
    const count = layer.rows.length * (layer.data.high.shape[1] ?? 1);
    for (let k = 0; k < count; k += 1) {
      kinds.add(layer.look(k, false).kind).add(layer.look(k, true).kind);
    }
  }
  const classes = scale.colors.map((color, k) => {
    const swatch = element("span");
    swatch.style.background = color;
    return element("li", swatch, `${scale.labels[k]} to ${scale.labels[k + 1]}`);
  });
  const others = Object.entries(scale.kinds).filter(([kind]) => kinds.has(kind));
  const items = others.map(([kind, color]) => element("li", swatchOf(kind, color), WORDS[kind]));
  part(id).replaceChildren(...classes, ...items);
}
