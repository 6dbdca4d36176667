// Charts: uPlot, in a chunk of its own, each with its numbers as a table for those who do not see it.
import { element, number, t } from "./page.js";

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

function numbersOf(head, xs, lines, writeX, digits) {
  return element("details", { class: "chart-numbers" }, element("summary", {}, t("chart.numbers")),
    element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": t("chart.numbers") },
      element("table", { class: "numbers" },
        element("thead", {}, element("tr", {}, ...head.map((one) => element("th", { scope: "col" }, one)))),
        element("tbody", {}, ...xs.map((x, i) => element("tr", {}, element("th", { scope: "row" }, writeX(x)), ...lines.map(({ ys }) => element("td", {}, number(ys[i], digits)))))))));
}

/** The names of several lines, each with its colour. */
function legendOf(lines, colours) {
  return element("ul", { class: "legend" }, ...lines.map(({ name }, i) => {
    const mark = element("i", { "aria-hidden": "true" });
    mark.style.background = colours[i % colours.length];
    return element("li", {}, mark, name);
  }));
}

/**
 * A chart over `xs` as a figure, of `ys` or of several `lines` ({name, ys}). `isBars` draws bars `step` wide from x on, else
 * lines; `isTime` takes xs as seconds since 1970; `fromZero` begins the scale at nothing. `head` names the axes in the table of
 * numbers, which is left out without it: for a page that has one already.
 */
export async function chart({ title, head, xs, ys, lines = [{ name: title, ys }], isBars = false, isTime = false, fromZero = isBars, step = 1, writeX = (x) => number(x), digits = 0, name, height = 130 }) {
  const place = element("div", { class: "chart", role: "img", "aria-label": `${title}. ${lines.map((line) => summary(line, lines.length > 1, xs, writeX, digits)).join(" ")}` });
  const figure = element("figure", { class: "chart-box", "data-chart": name }, element("figcaption", {}, title), place);
  if (head) figure.append(numbersOf(head, xs, lines, writeX, digits));
  if (xs.length < 2) {
    place.remove();
    figure.querySelector("details")?.setAttribute("open", "");
    return figure;
  }
  const { default: UPlot } = await import("uplot");
  const colours = lines.length > 1 ? colour("--lines").split(" ") : [colour("--accent")];
  const axis = { stroke: colour("--soft"), grid: { stroke: colour("--rule"), width: 1 }, ticks: { stroke: colour("--rule"), width: 1, size: 4 }, font: "11px system-ui, sans-serif" };
  const drawn = (own) => (isBars ? { paths: UPlot.paths.bars({ size: [0.9, 60], align: 1 }), fill: own, width: 0, points: { show: false } } : { width: 1.6, fill: lines.length > 1 ? undefined : `${own}22`, points: { size: 4 } });
  const made = new UPlot({
    width: 310, height, legend: { show: false }, cursor: { y: false, drag: { x: false, y: false } }, padding: [8, 14, 0, 0],
    scales: { x: { time: isTime, range: isBars ? (_, low, high) => [low, high + step] : undefined },
      y: { range: (_, low, high) => (fromZero ? [0, high * (isBars ? 1 : 1.08) || 1] : low === high ? [low - 1, high + 1] : [low - (high - low) * 0.1, high + (high - low) * 0.1]) } },
    series: [{}, ...lines.map((_, i) => ({ stroke: colours[i % colours.length], ...drawn(colours[i % colours.length]) }))],
    axes: [{ ...axis, size: 26, values: isTime ? undefined : (_, splits) => splits.map((x) => (Number.isInteger(x) ? writeX(x) : "")) },
      { ...axis, size: 46, values: (_, splits) => splits.map((y) => compact(y)) }],
  }, [xs, ...lines.map((line) => line.ys)], place);
  if (lines.length > 1) place.after(legendOf(lines, colours));
  const fit = () => place.clientWidth && made.setSize({ width: place.clientWidth, height });
  new ResizeObserver(fit).observe(place);
  return figure;
}

const compact = (value) => new Intl.NumberFormat("en", { notation: Math.abs(value) >= 1e4 ? "compact" : "standard", maximumFractionDigits: 2 }).format(value);

function summary({ name, ys }, isNamed, xs, writeX, digits) {
  if (!xs.length) return "";
  let most = 0;
  let least = 0;
  ys.forEach((y, i) => {
    if (y > ys[most]) most = i;
    if (y < ys[least]) least = i;
  });
  const said = t("chart.summary", { from: writeX(xs[0]), to: writeX(xs.at(-1)), most: number(ys[most], digits), at: writeX(xs[most]), least: number(ys[least], digits) });
  return isNamed ? `${name}: ${said}` : said;
}
