// A choice that is sent as soon as it is made; its button is for those without scripts.

/** Sends the form of the select `place` on change. */
export function enhance(place) {
  place.form.querySelector("button[type=submit]").hidden = true;
  place.addEventListener("change", () => place.form.requestSubmit());
}
