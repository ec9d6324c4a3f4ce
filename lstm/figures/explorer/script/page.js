/** The page: the maps of a flow, and what is shared by all of them. */
import { HeatMap } from "./heat_map.js";
import { WORDS, lookOf } from "./amounts.js";
import { unpacked } from "./packed.js";
import { swatchOf } from "./tiles.js";
import { View } from "./view.js";

const NAMED = 8; // of maps of more rows the first and the last are named

/** @param {string} id @returns {HTMLElement} */
function part(id) {
  const element = document.getElementById(id);
  if (element === null) throw new Error(`the page has no part ${id}`);
  return element;
}

/** @param {import("./heat_map.js").MapData} data @returns {HTMLElement} a figure for a map */
function figureOf(data) {
  const template = /** @type {HTMLTemplateElement} */ (part("map"));
  const copy = /** @type {DocumentFragment} */ (template.content.cloneNode(true));
  const figure = /** @type {HTMLElement} */ (copy.querySelector("figure"));
  const frame = /** @type {HTMLElement} */ (figure.querySelector(".frame"));
  figure.dataset.map = data.key;
  /** @type {HTMLElement} */ (figure.querySelector("h3")).textContent = data.title;
  frame.setAttribute("aria-label", data.title);
  const names = /** @type {HTMLElement} */ (figure.querySelector(".names"));
  const isLong = data.rows.length > NAMED;
  const listed = isLong ? [data.rows[0], data.rows[data.rows.length - 1]] : data.rows;
  names.classList.toggle("ends-only", isLong);
  names.append(...listed.map((name) => Object.assign(span(), { textContent: name })));
  return figure;
}

function span() {
  return document.createElement("span");
}

/**
 * What else than numbers on the scale is on the maps, with its texture.
 * @param {import("./amounts.js").Scale} scale
 * @param {import("./heat_map.js").MapData[]} maps
 */
function explain(scale, maps) {
  const kinds = new Set();
  for (const { high, low, shares } of maps) {
    if (shares) continue;
    for (const { codes } of low ? [high, low] : [high]) {
      for (const code of codes) kinds.add(lookOf(scale, code).kind);
    }
  }
  for (const [kind, color] of Object.entries(scale.kinds)) {
    if (!kinds.has(kind)) continue;
    const item = document.createElement("li");
    item.append(swatchOf(kind, color), WORDS[kind]);
    part("legend").append(item);
  }
}

/** Read the data and show them. */
async function start() {
  const told = await unpacked(JSON.parse(part("data").textContent ?? ""));
  const flow = told.flows[0];
  explain(told.scale, flow.maps);
  const view = new View({ flow: 0, step: 1, row: 0, map: flow.maps[0].key });
  const maps = part("maps");
  for (const data of flow.maps) {
    const figure = figureOf(data);
    maps.append(figure);
    new HeatMap(figure, data, flow.runs, told.scale, view);
  }
  part("explorer").dataset.ready = "";
}

await start();
