/** Graphs on the page: zoom by buttons and keys, pan by dragging, and a search for nodes. */
import { element } from "./dom.js";

const [STEP, LEAST, MOST] = [1.25, 0.2, 8];

/** @param {string} text @param {string} says @param {() => void} does @returns {HTMLElement} */
function button(text, says, does) {
  const made = Object.assign(document.createElement("button"), { type: "button" });
  made.append(text);
  made.setAttribute("aria-label", says);
  made.addEventListener("click", does);
  return made;
}

/** @param {HTMLElement} frame what scrolls around a drawn graph */
export function explored(frame) {
  const svg = /** @type {SVGSVGElement} */ (frame.querySelector("svg"));
  let [scale, at] = [1, -1];
  /** @type {Element[]} */
  let matches = [];
  const zoom = (/** @type {number} */ to) => {
    const before = scale;
    scale = Math.min(Math.max(to, LEAST), MOST);
    const [x, y] = [frame.scrollLeft + frame.clientWidth / 2, frame.scrollTop];
    svg.style.width = `calc(${1.04 * scale} * var(--drawn))`;
    frame.scrollLeft = (x * scale) / before - frame.clientWidth / 2;
    frame.scrollTop = (y * scale) / before;
  };
  const count = element("output");
  const search = Object.assign(document.createElement("input"), { type: "search" });
  const show = () => {
    count.textContent = search.value === ""
      ? ""
      : `${matches.length && at + 1} of ${matches.length}`;
    matches[at]?.scrollIntoView({ block: "nearest", inline: "center" });
    for (const node of svg.querySelectorAll("g.node")) {
      node.classList.toggle("match", matches.includes(node));
      node.classList.toggle("at", node === matches[at]);
    }
  };
  search.addEventListener("input", () => {
    const wanted = search.value.toLowerCase();
    const nodes = [...svg.querySelectorAll("g.node")];
    matches = wanted
      ? nodes.filter((node) => (node.textContent ?? "").toLowerCase().includes(wanted))
      : [];
    at = matches.length ? 0 : -1;
    show();
  });
  search.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !matches.length) return;
    at = (at + (event.shiftKey ? matches.length - 1 : 1)) % matches.length;
    show();
  });
  frame.addEventListener("keydown", (event) => {
    const to = { "+": scale * STEP, "=": scale * STEP, "-": scale / STEP, 0: 1 }[event.key];
    if (to === undefined || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    zoom(to);
  });
  frame.addEventListener("pointerdown", ({ pointerType, button: pressed }) => {
    if (pointerType === "mouse" && pressed === 0) frame.classList.add("dragged");
  });
  frame.addEventListener("pointermove", ({ movementX, movementY, buttons }) => {
    if (buttons !== 1 || !frame.classList.contains("dragged")) return;
    frame.scrollBy({ left: -movementX, top: -movementY, behavior: "instant" });
  });
  globalThis.addEventListener("pointerup", () => frame.classList.remove("dragged"));
  const bar = element(
    "div",
    button("−", "smaller", () => zoom(scale / STEP)),
    button("+", "larger", () => zoom(scale * STEP)),
    button("1:1", "as drawn", () => zoom(1)),
    element("label", "Find ", search),
    count,
  );
  bar.className = "toolbar";
  count.setAttribute("aria-live", "polite");
  frame.before(bar);
}
