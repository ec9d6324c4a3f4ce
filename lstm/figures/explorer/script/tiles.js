/** What is no number, or too small for the scale, is painted with a texture of its own. */

/** @type {Record<string, number[][]>} rectangles: x, y, width, height, in a tile of 6 pixels */
const SPOTS = {
  zero: [[1, 1, 2, 2], [4, 4, 2, 2]],
  disconnected: [[2, 2, 1, 1]],
  below: [[0, 2, 4, 2]],
  inf: [[0, 0, 6, 6]],
};

/** @param {string} kind @param {string} color @returns {HTMLCanvasElement} for a legend */
export function swatchOf(kind, color) {
  const swatch = document.createElement("canvas");
  [swatch.width, swatch.height] = [24, 12];
  const pen = /** @type {CanvasRenderingContext2D} */ (swatch.getContext("2d"));
  pen.fillStyle = pen.createPattern(tileOf(kind, color), "repeat") ?? color;
  pen.fillRect(0, 0, 24, 12);
  return swatch;
}

/** @param {string} kind @param {string} color @returns {HTMLCanvasElement} a tile to paint with */
export function tileOf(kind, color) {
  const tile = document.createElement("canvas");
  tile.width = tile.height = 6;
  const pen = /** @type {CanvasRenderingContext2D} */ (tile.getContext("2d"));
  pen.fillStyle = pen.strokeStyle = color;
  for (const [x, y, width, height] of SPOTS[kind] ?? []) pen.fillRect(x, y, width, height);
  pen.lineWidth = kind === "nan" ? 2 : 1.5;
  pen.beginPath();
  if (kind === "underflow" || kind === "nan") {
    pen.moveTo(0, 6);
    pen.lineTo(6, 0);
  }
  if (kind === "nan") {
    pen.moveTo(0, 0);
    pen.lineTo(6, 6);
  }
  pen.stroke();
  return tile;
}
