// Numbers of what matches: totals, groups and charts, asked and laid out for any collection.
import { postJson, schemaOf } from "./api.js";
import { chart } from "./chart.js";
import { BUILDING_COLOURS, SENSOR_COLOURS, UNKNOWN } from "./colours.js";
import { codesOf, isNumber, isTime, unitOf } from "./fields.js";
import { element, number, t } from "./page.js";
import { bodyOf } from "./question.js";
import { collectionOf } from "./registry.js";

const path = (collection) => `collections/${encodeURIComponent(collection)}/aggregate`;
const measured = (properties) => Object.entries(properties).filter(([, property]) => isNumber(property) && property["x-ogc-unit"]);

/** Keys that groups of `collection` may have: [key, title], the usual one first. */
export async function groupKeys(collection) {
  const { properties } = await schemaOf(collection);
  const keys = Object.entries(properties).filter(([, property]) => codesOf(property).size).map(([name, property]) => [name, property.title ?? name]);
  if (properties.area_code && collectionOf("areas")) for (const level of ["district", "street", "community"]) keys.push([level, t(`level.${level}`)]);
  for (const [name, property] of Object.entries(properties)) if (isTime(property) && name !== "valid_to") keys.push([`year(${name})`, t("answer.year-of", { name: property.title ?? name })]);
  if (!keys.length) {
    const text = Object.entries(properties).find(([name, property]) => property.type === "string" && !property.format && !["id", "name", "address"].includes(name));
    if (text) keys.push([text[0], text[1].title ?? text[0]]);
  }
  return keys;
}

/** What is told of the state's question: {total, groups, key, properties}. */
export async function statisticsOf(state, key, signal) {
  const [answer, { properties }] = await Promise.all([
    postJson(path(state.about), { ...bodyOf(state), ...(key ? { "group-by": key } : {}) }, signal),
    schemaOf(state.about),
  ]);
  return { ...answer, key, properties };
}

/** The numbers of a total, in order: name, title, value, unit, digits. */
export function figuresOf(collection, total, properties) {
  const titled = (name) => properties[name]?.title ?? name;
  if (collection === "buildings") {
    return [
      { name: "count", title: t("answer.buildings"), value: total.count },
      { name: "height-avg", title: t("answer.height-avg"), value: total.height_m?.avg, unit: "m", digits: 1 },
      { name: "height-max", title: t("answer.height-max"), value: total.height_m?.max, unit: "m", digits: 1 },
      { name: "footprint", title: t("answer.footprint"), value: total.footprint_area_m2?.sum, unit: "m²" },
      { name: "floor", title: t("answer.floor-area"), value: total.floor_area_m2?.sum, unit: "m²" },
    ].filter(({ name }) => name === "count" || properties.height_m || !name.startsWith("height"));
  }
  const figures = [{ name: "count", title: t("answer.features"), value: total.count }];
  for (const [name, property] of measured(properties).slice(0, 4)) {
    if (!total[name]) continue;
    const isSum = property["x-ogc-unit"] === "m2";
    figures.push({ name, title: isSum ? t("answer.sum-of", { name: titled(name) }) : t("answer.mean-of", { name: titled(name) }), value: total[name][isSum ? "sum" : "avg"], unit: unitOf(property), digits: isSum ? 0 : 1 });
  }
  return figures;
}

/** A value with its unit, in a larger one where it is long. */
export function written({ value, unit, digits = 0 }) {
  const isLarge = unit === "m²" && Math.abs(value) >= 1e6;
  return [isLarge ? number(value / 1e6, 2) : number(value, digits), value == null || !unit ? "" : isLarge ? "km²" : unit];
}

/** The totals as a list of named numbers; the exact value is kept beside the written one. */
export function figureList(figures) {
  return element("dl", { class: "figures" }, ...figures.map((one) => {
    const [text, unit] = written(one);
    return element("div", { class: "figure" }, element("dt", {}, one.title),
      element("dd", { "data-figure": one.name, "data-value": one.value, title: unit === "km²" ? `${number(one.value)} m²` : null }, text,
        unit ? element("small", {}, ` ${unit}`) : null));
  }));
}

const coloursOf = (collection, key) => (collection === "buildings" ? BUILDING_COLOURS[key]?.codes : key === "kind" ? SENSOR_COLOURS : null) ?? {};

/** Groups by their key's values, largest first (years in order); `nameArea` gives names of area codes. */
export function groupTable(collection, { groups, key, properties }, title, nameArea) {
  const titles = codesOf(properties[key]);
  const colours = coloursOf(collection, key);
  const isBuildings = collection === "buildings" && groups.some(({ floor_area_m2: floor }) => floor);
  const largest = Math.max(1, ...groups.map((group) => group.count));
  const all = groups.reduce((sum, group) => sum + group.count, 0);
  const sorted = key.startsWith("year(") ? groups : [...groups].sort((a, b) => b.count - a.count);
  const rows = sorted.map((group) => {
    const code = group.group[key];
    const bar = element("span", { class: "bar" });
    bar.style.width = `${Math.max(1.5, (100 * group.count) / largest)}%`;
    bar.style.background = colours[code] ?? (Object.keys(colours).length ? UNKNOWN : "var(--accent)");
    return element("tr", { "data-use": code ?? "" },
      element("th", { scope: "row" }, code == null ? t("use.unknown") : titles.get(code) ?? nameArea(code) ?? String(code), element("span", { class: "track" }, bar)),
      element("td", {}, number(group.count)),
      ...(isBuildings
        ? [element("td", {}, number((group.floor_area_m2?.sum ?? 0) / 1e4, 1, 1)), element("td", {}, number(group.height_m?.avg, 1, 1))]
        : [element("td", {}, `${number((100 * group.count) / all, 1, 1)}%`)]));
  });
  return element("table", { class: "numbers" },
    element("caption", {}, t("answer.by", { name: title })),
    element("thead", {}, element("tr", {}, element("th", { scope: "col" }, title), element("th", { scope: "col" }, t("answer.count")),
      ...(isBuildings
        ? [element("th", { scope: "col" }, t("answer.floor-area-10k")), element("th", { scope: "col" }, t("answer.height-avg"))]
        : [element("th", { scope: "col" }, t("answer.share"))]))),
    element("tbody", {}, ...rows));
}

const nice = (value) => {
  const power = 10 ** Math.floor(Math.log10(value));
  return power * [1, 2, 5, 10].find((step) => step * power >= value);
};

/** Charts of the question: how the first measured property is spread, and how the features came about over the years. */
export async function chartsOf(state, { total, properties }, signal) {
  const made = [];
  const [measure, property] = measured(properties).find(([name]) => total[name]?.max > total[name]?.min) ?? [];
  const time = ["completed_on", "installed_on", "datetime"].find((name) => properties[name]) ?? (properties.valid_from ? "valid_from" : null);
  const body = bodyOf(state);
  const width = measure && (measure === "height_m" ? 10 : nice((total[measure].max - total[measure].min) / 20));
  const [spread, years] = await Promise.all([
    measure ? postJson(path(state.about), { ...body, measures: `histogram(${measure},${width})` }, signal) : null,
    time ? postJson(path(state.about), { ...body, "group-by": `year(${time})`, ...(measure ? { measures: `max(${measure})` } : {}) }, signal) : null,
  ]);
  const bins = spread?.total[measure]?.histogram ?? [];
  if (bins.length) {
    const filled = new Map(bins.map((bin) => [Math.round(bin.from / width), bin.count]));
    const [first, last] = [Math.min(...filled.keys()), Math.max(...filled.keys())];
    const steps = Array.from({ length: last - first + 1 }, (_, i) => first + i);
    const title = `${property.title ?? measure} (${unitOf(property)})`;
    made.push(await chart({ name: "spread", title: t("chart.spread", { name: title }), head: [title, t("answer.count")], isBars: true, step: width,
      xs: steps.map((step) => step * width), ys: steps.map((step) => filled.get(step) ?? 0), writeX: (x) => number(x, 2) }));
  }
  const dated = (years?.groups ?? []).map((group) => [Number(Object.values(group.group)[0]), group.count]).filter(([year]) => year > 0).sort((a, b) => a[0] - b[0]);
  if (dated.length > 1) {
    const counts = new Map(dated);
    const [first, last] = [dated[0][0], dated.at(-1)[0]];
    const xs = Array.from({ length: Math.min(400, last - first + 1) }, (_, i) => last - Math.min(399, last - first) + i);
    const title = properties[time].title ?? time;
    made.push(await chart({ name: "years", title: t("chart.years", { name: title }), head: [t("chart.year"), t("answer.count")], isBars: true, xs, ys: xs.map((x) => counts.get(x) ?? 0), writeX: String }));
  }
  return made;
}
