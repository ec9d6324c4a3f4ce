/** What is no number, or too small for the scale, is painted with a texture of its own. */
/** @import { Look } from "./types.d.ts" */

/** @type {Record<string, { width: number, lines: number[][] }>} from x, y to x, y, of 6 pixels */
const TEXTURES = {
  zero: { width: 2, lines: [[1, 2, 3, 2], [4, 5, 6, 5]] },
  disconnected: { width: 1, lines: [[2, 2.5, 3, 2.5]] },
  below: { width: 2, lines: [[0, 3, 4, 3]] },
  underflow: { width: 1.5, lines: [[0, 6, 6, 0]] },
  nan: { width: 2, lines: [[0, 6, 6, 0], [0, 0, 6, 6]] },
  inf: { width: 6, lines: [[0, 3, 6, 3]] },
  even: { width: 6, lines: [[0, 3, 6, 3]] },
};

/** @param {HTMLCanvasElement} canvas @returns {CanvasRenderingContext2D} */
export function penOf(canvas) {
  return /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
}

/** @param {string} kind @param {string} color @returns {CanvasPattern | string} its paint */
export function textureOf(kind, color) {
  const tile = document.createElement("canvas");
  tile.width = tile.height = 6;
  const pen = penOf(tile);
  const { width, lines } = TEXTURES[kind];
  pen.lineWidth = width;
  pen.strokeStyle = color;
  for (const [x, y, toX, toY] of lines) {
    pen.moveTo(x, y);
    pen.lineTo(toX, toY);
  }
  pen.stroke();
  return pen.createPattern(tile, "repeat") ?? color;
}

/** @param {HTMLCanvasElement} canvas to be painted all over @param {Look} look */
export function fill(canvas, { color, kind }) {
  const pen = penOf(canvas);
  pen.clearRect(0, 0, canvas.width, canvas.height);
  pen.fillStyle = kind && kind !== "none" ? textureOf(kind, color) : color || "transparent";
  pen.fillRect(0, 0, canvas.width, canvas.height);
}
