// What is in and around a feature: areas, sensors with their values, cameras near it and those that see it; services about it.
import { address, firstFeatures, getJson } from "./api.js";
import { element, number, t } from "./page.js";
import { collectionOf, titleOf } from "./registry.js";
import { change } from "./state.js";

const NEAR_M = 60;
const MOST = 6;

function link(collection, feature, note) {
  const { name, title } = feature.properties;
  return element("li", {},
    element("button", { type: "button", class: "link", "data-record": `${collection}/${feature.id}`, onclick: () => change({ record: `${collection}/${feature.id}` }) }, name || title || String(feature.id)),
    note ? element("small", {}, note) : null);
}

/** The latest value of a sensor as text; "" where it has none. */
export const valueOf = ({ latest_result: value, unit_of_measurement: unit, observed_property: what }) =>
  (value === null || value === undefined ? what ?? "" : `${what ?? ""} ${number(value, 2)} ${unit ?? ""}`.trim());

const notes = {
  sensors: ({ properties }) => valueOf(properties),
  cameras: ({ properties }) => (properties.range_m ? `${number(properties.range_m)} m` : ""),
  imagery: ({ properties }) => (properties.datetime ?? "").slice(0, 10),
  buildings: ({ properties }) => (properties.height_m == null ? "" : `${number(properties.height_m, 1)} m`),
};

async function group(collection, title, parameters) {
  if (!collectionOf(collection)) return null;
  const features = await firstFeatures(collection, { ...parameters, limit: MOST + 1, skipGeometry: true });
  if (!features.length) return null;
  return [element("h4", {}, title), element("ul", { class: "around", "data-around": collection },
    ...features.slice(0, MOST).map((feature) => link(collection, feature, notes[collection]?.(feature))),
    features.length > MOST ? element("li", { class: "is-faint" }, t("around.more")) : null)];
}

/** Lists by kind; nothing around what has no place. */
export async function aroundOf(collection, feature) {
  if (!feature.geometry || collection === "areas" || collection === "imagery") return null;
  const self = `${collection}/${feature.id}`;
  const near = { near: self, distance: NEAR_M };
  const title = (id) => t("around.near", { name: titleOf(id), distance: NEAR_M });
  const isPolygon = /Polygon$/.test(feature.geometry.type);
  const asked = [
    isPolygon ? group("sensors", t("around.within", { name: titleOf("sensors") }), { within: self }) : null,
    collection === "sensors" ? null : group("sensors", title("sensors"), near),
    collection === "cameras" ? null : group("cameras", t("around.sees"), { sees: self }),
    collection === "cameras" ? null : group("cameras", title("cameras"), near),
    collection === "buildings" ? null : group("buildings", title("buildings"), near),
    group("imagery", titleOf("imagery"), { intersects: self }),
  ];
  return (await Promise.all(asked)).filter(Boolean).flat();
}

/** Published services whose area holds a corner of the feature. */
export async function servicesAbout(collection, feature) {
  let position = feature.geometry?.coordinates;
  while (Array.isArray(position?.[0])) [position] = position;
  if (!position) return null;
  const [x, y] = position;
  const { features } = await getJson("catalogue/items", { bbox: [x, y, x + 1e-6, y + 1e-6].map((value) => value.toFixed(7)).join(","), limit: MOST });
  if (!features?.length) return null;
  return element("ul", { class: "around", "data-around": "services" }, ...features.map(({ id, properties }) =>
    element("li", {}, element("a", { href: address(`catalogue/items/${encodeURIComponent(id)}`, { f: "html" }).href }, properties.title ?? id), element("small", {}, properties.kind ?? ""))));
}
