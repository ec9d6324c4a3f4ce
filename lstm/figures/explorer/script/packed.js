/**
 * Reads what packed.py wrote: JSON in which arrays of codes are deflated and in base64.
 *
 * @typedef {{ shape: number[], codes: Int32Array }} Codes
 */

/** @param {string} text base64 @returns {Promise<Uint8Array>} what was deflated */
async function inflated(text) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/**
 * Codes from the planes of the bytes of their differences along the last axis.
 * @param {{ shape: number[], packed: string }} array @returns {Promise<Codes>}
 */
async function codesOf(array) {
  const planes = await inflated(array.packed);
  const count = planes.length / 4;
  const codes = new Int32Array(count);
  const width = array.shape[array.shape.length - 1];
  for (let k = 0; k < count; k += 1) {
    const byte = (/** @type {number} */ plane) => planes[plane * count + k] << (8 * plane);
    const step = byte(0) | byte(1) | byte(2) | byte(3);
    codes[k] = k % width === 0 ? step : codes[k - 1] + step;
  }
  return { shape: array.shape, codes };
}

/** @param {any} value of JSON @returns {Promise<any>} the same, with its arrays as Codes */
export async function unpacked(value) {
  if (value === null || typeof value !== "object") return value;
  if (typeof value.packed === "string") return codesOf(value);
  const items = await Promise.all(Object.values(value).map(unpacked));
  if (Array.isArray(value)) return items;
  return Object.fromEntries(Object.keys(value).map((key, k) => [key, items[k]]));
}
