/** What chooses a model, another to take from it, a moment, a sequence, a step and a route. */
import { part } from "./dom.js";
import { placeOf } from "./view.js";

/** @import { Model, Place } from "./types.d.ts" */
/** @import { View } from "./view.js" */

/** @returns {HTMLFormElement} whose fields have the names of parts of a place */
function fields() {
  return part("controls");
}

/** @param {View} view which the fields change and show */
export function control(view) {
  const form = fields();
  const show = () => {
    for (const [name, value] of Object.entries(view.place)) {
      if (name in form && form[name].value !== String(value)) form[name].value = value;
    }
  };
  const read = () => {
    const said = /** @type {any} */ (new FormData(form)); // of which all is text
    view.go(placeOf(new URLSearchParams(said), view.place));
    show(); // what there is, where something else was typed
  };
  part("explorer").addEventListener("change", read);
  form.moment.addEventListener("input", read);
  view.listen(show);
}

/** @param {Model[]} models @param {Place} place whose model and moment have these choices */
export function offer(models, { model, moment }) {
  const form = fields();
  const { moments } = models[model];
  const { label, steps } = moments[moment];
  models.forEach(({ name }, k) => {
    const option = form.less.options[k + 1];
    option.text = k === model ? `itself, ${moments[0].label}` : name;
    option.hidden = option.disabled = k === model && moments.length < 2;
  });
  form.moment.max = moments.length - 1;
  form.moment.setAttribute("aria-valuetext", label);
  part("when").textContent = label;
  form.step.max = steps.steps;
  form.route.replaceChildren(...steps.falls.map(({ route, words }) => new Option(words, route)));
  part("fell").hidden = steps.falls.length === 0;
}
