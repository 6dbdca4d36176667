// The layer panel: every collection of the registry, how many features it has, and what the colours mean.
import { schemaOf } from "./api.js";
import { AREA, BUILDING_COLOURS, CAMERA, IMAGERY, SENSOR_COLOURS, UNKNOWN } from "./colours.js";
import { codesOf, unitOf } from "./fields.js";
import { styleOf } from "./map.js";
import { byId, element, number, t } from "./page.js";
import { BUILT_IN, collections, collectionOf } from "./registry.js";
import { change, current, whenever } from "./state.js";

/** With more scenes than these their outlines hide the map: they are drawn when they are asked for. */
const MANY_SCENES = 200;
const MARKS = { areas: ["line", AREA], cameras: ["dot", CAMERA], imagery: ["dash", IMAGERY] };

/** Ids of the collections that are drawn under `state`. */
export function drawnIds({ on }) {
  if (on === "none") return [];
  if (on) return on.split(",");
  return BUILT_IN.filter((id) => collectionOf(id) && !(id === "imagery" && collectionOf(id).count > MANY_SCENES));
}

export function swatch(shape, colour) {
  const mark = element("span", { class: `swatch is-${shape}`, "aria-hidden": "true" });
  mark.style.setProperty("--colour", colour);
  return mark;
}

const entry = (shape, colour, text) => element("li", {}, swatch(shape, colour), text);

async function codeLegend(collection, property, colours, shape) {
  const titles = codesOf((await schemaOf(collection)).properties?.[property]);
  return [...Object.entries(colours).map(([code, colour]) => entry(shape, colour, titles.get(code) ?? code)), entry(shape, UNKNOWN, t("use.unknown"))];
}

async function stepLegend(collection, property, steps) {
  const unit = unitOf((await schemaOf(collection)).properties?.[property]);
  const write = property === "year_built" ? String : (value) => number(value);
  const bands = steps.map(([from, colour], i) => {
    const to = steps[i + 1]?.[0];
    const text = to === undefined ? `≥ ${write(from)}` : i === 0 ? `< ${write(to)}` : `${write(from)}–${write(to)}`;
    return entry("box", colour, unit ? `${text} ${unit}` : text);
  });
  return [...bands, entry("box", UNKNOWN, t("use.unknown"))];
}

/** Legend of a collection with a style of its own: the first match expression of its colours, else its one colour. */
async function styleLegend(collection) {
  const layers = await styleOf(collection);
  const isPoint = layers.every((layer) => layer.type === "circle");
  for (const { type, paint } of layers) {
    const colour = paint?.[`${type}-color`];
    if (Array.isArray(colour) && colour[0] === "match") {
      const property = JSON.stringify(colour[1]).match(/\["get","([^"]+)"\]/)?.[1];
      const titles = codesOf((await schemaOf(collection)).properties?.[property]);
      const pairs = [];
      for (let i = 2; i < colour.length - 1; i += 2) for (const code of [colour[i]].flat()) pairs.push([code, colour[i + 1]]);
      return [...pairs.slice(0, 40).map(([code, one]) => entry(isPoint ? "dot" : "box", one, titles.get(code) ?? code)), entry("box", colour.at(-1), t("use.unknown"))];
    }
    if (typeof colour === "string") return [entry(isPoint ? "dot" : "box", colour, t("layers.every"))];
  }
  return [];
}

/** The legend of a collection as list entries. */
export function legendOf(collection, colour) {
  if (collection === "buildings") {
    const { codes, steps } = BUILDING_COLOURS[colour];
    return codes ? codeLegend(collection, colour, codes, "box") : stepLegend(collection, colour, steps);
  }
  if (collection === "sensors") return codeLegend(collection, "kind", SENSOR_COLOURS, "dot");
  if (BUILT_IN.includes(collection)) return Promise.resolve([]);
  return styleLegend(collection);
}

const hasLegend = (id) => id === "buildings" || id === "sensors" || !BUILT_IN.includes(id);
export const colourOf = ({ colour }) => (colour in BUILDING_COLOURS ? colour : "use");

async function colourChoice() {
  const { properties } = await schemaOf("buildings");
  const select = element("select", { id: "layer-colour" },
    ...Object.keys(BUILDING_COLOURS).filter((name) => properties[name]).map((name) => element("option", { value: name }, properties[name].title)));
  select.value = colourOf(current());
  select.addEventListener("change", () => change({ colour: select.value === "use" ? "" : select.value }));
  whenever(["colour"], (state) => { select.value = colourOf(state); });
  return element("div", { class: "field is-inline" }, element("label", { for: "layer-colour" }, t("layers.colour")), select);
}

function legendFold(id) {
  const list = element("ul", { class: "legend" });
  const fold = element("details", { open: id === "buildings" && window.innerWidth > 760 }, element("summary", {}, t("layers.legend")), list);
  const fill = () => legendOf(id, colourOf(current())).then((entries) => list.replaceChildren(...entries)).catch(() => fold.remove());
  const once = () => { if (fold.open && !list.children.length) fill(); };
  fold.addEventListener("toggle", once);
  once();
  if (id === "buildings") {
    whenever(["colour"], () => { if (fold.open) fill(); else list.replaceChildren(); });
    colourChoice().then((choice) => list.before(choice)).catch(() => {});
  }
  return fold;
}

/** Writes the panel. */
export function showLayerPanel() {
  const boxes = new Map();
  const toggle = () => {
    const ids = [...boxes].filter(([, box]) => box.checked).map(([id]) => id);
    const usual = drawnIds({ on: "" });
    change({ on: ids.length === 0 ? "none" : String(ids) === String(usual) ? "" : ids.join(",") });
  };
  byId("layer-list").replaceChildren(...collections().map(({ id, title, count }) => {
    const box = element("input", { type: "checkbox", id: `layer-${id}`, onchange: toggle });
    boxes.set(id, box);
    const head = element("div", { class: "layer-head" }, box,
      element("label", { for: `layer-${id}` }, MARKS[id] ? swatch(...MARKS[id]) : null, title),
      element("span", { class: "count", "data-count": id }, number(count)));
    return element("li", { class: "layer" }, head, hasLegend(id) ? legendFold(id) : null);
  }));
  const tick = (state) => { for (const [id, box] of boxes) box.checked = drawnIds(state).includes(id); };
  whenever(["on"], tick);
  tick(current());
}
