// Rows of fields: a button for another empty one, beside those that the page has without a script.
import { element, t } from "../page.js";

const MOST = 20;

/** Adds a button below the rows of `place` that copies the last one, emptied. */
export function enhance(place) {
  const button = element("button", { type: "button", class: "button is-small" }, t("rows.add"));
  button.addEventListener("click", () => {
    const rows = place.querySelectorAll(".row");
    const row = rows[rows.length - 1].cloneNode(true);
    const number = String(rows.length + 1);
    for (const field of row.querySelectorAll("input, select")) {
      field.id = field.id.replace(/\d+$/, number);
      field.value = "";
    }
    for (const label of row.querySelectorAll("label")) {
      label.htmlFor = label.htmlFor.replace(/\d+$/, number);
      label.textContent = label.textContent.replace(/\d+$/, number);
    }
    button.before(row);
    row.querySelector("input").focus();
    button.hidden = rows.length + 1 >= MOST;
  });
  place.append(button);
}
