/** Reads what packed.py wrote: JSON, and the codes of all arrays in it, deflated, in base64. */
/** @import { Codes } from "./types.d.ts" */

/** @param {string} text base64 @returns {Promise<Uint8Array>} what was deflated */
async function inflated(text) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** Codes from the planes of the bytes of their differences along the last axis.
 * @param {{ shape: number[], at: number }} array so many codes after the first
 * @param {Uint8Array} bytes @returns {Codes} */
function codesOf({ shape, at }, bytes) {
  const count = shape.reduce((product, n) => product * n, 1);
  const planes = bytes.subarray(4 * at, 4 * (at + count));
  const codes = new Int32Array(count);
  const width = shape[shape.length - 1];
  for (let k = 0; k < count; k += 1) {
    const byte = (/** @type {number} */ plane) => planes[plane * count + k] << (8 * plane);
    const step = byte(0) | byte(1) | byte(2) | byte(3);
    codes[k] = k % width === 0 ? step : codes[k - 1] + step;
  }
  return { shape, codes };
}

/** @param {string} json @param {string} packed @returns {Promise<any>} with its arrays as Codes */
export async function unpacked(json, packed) {
  const bytes = await inflated(packed);
  return JSON.parse(json, (_, value) => value?.shape ? codesOf(value, bytes) : value);
}
