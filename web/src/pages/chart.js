// A table of days and numbers as a chart.
import { chart } from "../chart.js";
import { config, t } from "../page.js";

const DAY_S = 86_400;
const writeDay = (x) => new Date(x * 1000).toLocaleDateString(config.lang, { month: "numeric", day: "numeric", timeZone: "UTC" });

/** Puts a chart of the table in the `details` in its place; the numbers stay beneath it. */
export async function enhance(place) {
  const rows = [...place.querySelectorAll("tbody tr")];
  const head = [...place.querySelectorAll("thead th")].map((one) => one.textContent);
  const xs = rows.map((row) => Date.parse(row.cells[0].textContent) / 1000);
  const ys = rows.map((row) => Number(row.cells[1].dataset.value));
  place.replaceWith(await chart({
    name: "days", title: place.querySelector("summary").textContent, head: [head[0] || t("chart.time"), head[1]],
    xs, ys, isBars: true, step: DAY_S, writeX: writeDay,
  }));
}
