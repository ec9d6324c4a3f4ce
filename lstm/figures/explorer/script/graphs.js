/** Graphs on the page: zoom by buttons and keys, pan by dragging, and a search for nodes. */
import { inside, part } from "./dom.js";

const [STEP, LEAST, MOST] = [1.25, 0.2, 8];

/** @param {HTMLElement} frame what scrolls around a drawn graph */
export function explored(frame) {
  const svg = /** @type {SVGSVGElement} */ (frame.querySelector("svg"));
  let [scale, at, wasDragged] = [1, -1, false];
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
  /** @type {HTMLTemplateElement} */
  const { content } = part("toolbar");
  frame.before(content.cloneNode(true));
  const bar = /** @type {HTMLElement} */ (frame.previousElementSibling);
  const count = inside(bar, "output");
  /** @type {HTMLInputElement} */
  const search = inside(bar, "input");
  const show = () => {
    count.textContent = search.value && `${matches.length && at + 1} of ${matches.length}`;
    matches[at]?.scrollIntoView({ block: "nearest", inline: "center" });
    for (const node of svg.querySelectorAll("g.node")) {
      node.classList.toggle("match", matches.includes(node));
      node.classList.toggle("at", node === matches[at]);
    }
  };
  search.addEventListener("input", () => {
    const wanted = search.value.toLowerCase();
    const isWanted = (/** @type {Element} */ { textContent }) =>
      wanted !== "" && (textContent ?? "").toLowerCase().includes(wanted);
    matches = [...svg.querySelectorAll("g.node")].filter(isWanted);
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
  frame.addEventListener("pointermove", ({ pointerType, movementX, movementY, buttons }) => {
    const isDragged = pointerType === "mouse" && buttons === 1;
    wasDragged ||= isDragged;
    frame.classList.toggle("dragged", isDragged);
    if (isDragged) frame.scrollBy({ left: -movementX, top: -movementY, behavior: "instant" });
  });
  frame.addEventListener("pointerdown", () => wasDragged = false);
  frame.addEventListener("click", (event) => wasDragged && event.stopPropagation(), true);
  bar.addEventListener("click", ({ target }) => {
    const by = Number(/** @type {HTMLElement} */ (target).dataset.zoom);
    if (by) zoom(by === 1 ? 1 : scale * by);
  });
}
