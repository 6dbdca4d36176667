// A chart above the table of its numbers, which the server wrote: the table stays, for those who do not see the chart.
import { chart } from "../chart.js";

/** A day without its year: there is the table. */
const brief = (text) => (text.length > 7 ? text.slice(5) : text);

/** Draws what `data-chart` of `place` holds: `times` as they are written, `lines` of {name, values}, `title`. */
export async function enhance(place) {
  const { times, lines, title } = JSON.parse(place.dataset.chart);
  const xs = times.map((_, i) => i);
  const made = await chart({
    name: "calls", title, xs, lines: lines.map(({ name, values }) => ({ name, ys: values })),
    writeX: (x) => brief(times[x] ?? ""), fromZero: true, height: 240,
  });
  place.prepend(made);
}
