// Charts: uPlot, in a chunk of its own, each with its numbers as a table for those who do not see it.
import { element, number, t } from "./page.js";

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

function numbersOf(head, xs, ys, writeX, digits) {
  return element("details", { class: "chart-numbers" }, element("summary", {}, t("chart.numbers")),
    element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": t("chart.numbers") },
      element("table", { class: "numbers" },
        element("thead", {}, element("tr", {}, ...head.map((one) => element("th", { scope: "col" }, one)))),
        element("tbody", {}, ...xs.map((x, i) => element("tr", {}, element("th", { scope: "row" }, writeX(x)), element("td", {}, number(ys[i], digits))))))));
}

/**
 * A chart of `ys` over `xs` as a figure. `isBars` draws bars `step` wide from x on, else a line; `isTime` takes xs as
 * seconds since 1970. `head` names the two axes.
 */
export async function chart({ title, head, xs, ys, isBars = false, isTime = false, step = 1, writeX = (x) => number(x), digits = 0, name }) {
  const place = element("div", { class: "chart", role: "img", "aria-label": `${title}. ${summary(xs, ys, writeX, digits)}` });
  const figure = element("figure", { class: "chart-box", "data-chart": name }, element("figcaption", {}, title), place, numbersOf(head, xs, ys, writeX, digits));
  if (xs.length < 2) {
    place.remove();
    figure.querySelector("details").open = true;
    return figure;
  }
  const { default: UPlot } = await import("uplot");
  const ink = colour("--soft");
  const accent = colour("--accent");
  const axis = { stroke: ink, grid: { stroke: colour("--rule"), width: 1 }, ticks: { stroke: colour("--rule"), width: 1, size: 4 }, font: "11px system-ui, sans-serif" };
  const bars = isBars ? { paths: UPlot.paths.bars({ size: [0.9, 60], align: 1 }), fill: accent, width: 0, points: { show: false } } : { width: 1.6, fill: `${accent}22`, points: { size: 4 } };
  const made = new UPlot({
    width: 310, height: 130, legend: { show: false }, cursor: { y: false, drag: { x: false, y: false } }, padding: [8, 6, 0, 0],
    scales: { x: { time: isTime, range: isBars ? (_, low, high) => [low, high + step] : undefined },
      y: { range: (_, low, high) => (isBars ? [0, high || 1] : low === high ? [low - 1, high + 1] : [low - (high - low) * 0.1, high + (high - low) * 0.1]) } },
    series: [{}, { stroke: accent, ...bars }],
    axes: [{ ...axis, size: 26, values: isTime ? undefined : (_, splits) => splits.map((x) => (Number.isInteger(x) ? writeX(x) : "")) },
      { ...axis, size: 46, values: (_, splits) => splits.map((y) => compact(y)) }],
  }, [xs, ys], place);
  const fit = () => place.clientWidth && made.setSize({ width: place.clientWidth, height: 130 });
  new ResizeObserver(fit).observe(place);
  return figure;
}

const compact = (value) => new Intl.NumberFormat("en", { notation: Math.abs(value) >= 1e4 ? "compact" : "standard", maximumFractionDigits: 2 }).format(value);

function summary(xs, ys, writeX, digits) {
  if (!xs.length) return "";
  let most = 0;
  let least = 0;
  ys.forEach((y, i) => {
    if (y > ys[most]) most = i;
    if (y < ys[least]) least = i;
  });
  return t("chart.summary", { from: writeX(xs[0]), to: writeX(xs.at(-1)), most: number(ys[most], digits), at: writeX(xs[most]), least: number(ys[least], digits) });
}
