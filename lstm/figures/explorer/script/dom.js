/** Parts of the page, and new ones. All text is put in as text. */

/** @template {HTMLElement} [T=HTMLElement] @param {string} id @returns {T} */
export function part(id) {
  const element = document.getElementById(id);
  if (element === null) throw new Error(`the page has no part ${id}`);
  return /** @type {T} */ (element);
}

/** @template {HTMLElement} [T=HTMLElement] @param {ParentNode} parent @param {string} what
 * @returns {T} the first such element in it */
export function inside(parent, what) {
  const element = parent.querySelector(what);
  if (element === null) throw new Error(`nothing in the page is ${what}`);
  return /** @type {T} */ (element);
}

/** @param {string} name @param {(string | Node)[]} content @returns {HTMLElement} a new one */
export function element(name, ...content) {
  const made = document.createElement(name);
  made.append(...content);
  return made;
}
