// The question of the page as the API takes it: the same conditions for numbers, table, export and map.
import { getJson } from "./api.js";
import { featureOfArea, nameOf } from "./areas.js";
import { config, t } from "./page.js";
import { placeOfText, polygonOfBox, toWkt } from "./wkt.js";

const DAY = /^\d{4}-\d\d-\d\d$/;

/** `place` of the state → its kind and value, or null. */
export function placeOf(text) {
  const [, kind, value] = /^(area|bbox|wkt|feature):(.+)$/s.exec(text) ?? [];
  return kind ? { kind, value } : null;
}

/** The state's text of a drawn or pasted shape. */
export const placeText = (geometry) => `wkt:${toWkt(geometry)}`;

/** Valid time of a collection's features on `date`: pictures are of an instant, so the earlier ones count as there. */
export const timeOf = (collection, date) => (collection === "imagery" ? `../${date}` : date);

/** Members of a request body that say what is asked. */
export function bodyOf({ about, place, filter, date, known }) {
  const body = {};
  const where = placeOf(place);
  if (where?.kind === "area") body.area = where.value;
  if (where?.kind === "bbox") body.bbox = where.value.split(",").map(Number);
  if (where?.kind === "wkt") body.geometry = placeOfText(where.value);
  if (where?.kind === "feature") body.intersects = where.value;
  if (filter) body.filter = filter;
  if (date) body.datetime = timeOf(about, date);
  if (known) body["known-at"] = known;
  return body;
}

/** The same as query parameters. */
export function parametersOf(state) {
  const { bbox, geometry, ...rest } = bodyOf(state);
  if (bbox) rest.bbox = bbox.join(",");
  if (geometry) rest.intersects = toWkt(geometry);
  return rest;
}

/** Conditions that a collection's tiles take: times for all, the filter for what is asked about. */
export function tileParametersOf(collection, { about, filter, date, known }) {
  const asked = {};
  if (filter && collection === about) asked.filter = filter;
  if (date) asked.datetime = timeOf(collection, date);
  if (known) asked["known-at"] = known;
  return asked;
}

/** True where something is asked: a place or a condition. */
export const isAsked = ({ place, filter }) => Boolean(place || filter);

/** Outline of the place, or null for none or one without a shape. */
export async function outlineOf(text) {
  const where = placeOf(text);
  if (where?.kind === "area") return (await featureOfArea(where.value))?.geometry ?? null;
  if (where?.kind === "bbox") return polygonOfBox(where.value.split(",").map(Number));
  if (where?.kind === "wkt") return placeOfText(where.value);
  if (where?.kind === "feature") return (await featureOf(where.value)).geometry;
  return null;
}

/** Its name. */
export async function placeName(text) {
  const where = placeOf(text);
  if (where?.kind === "area") {
    const feature = await featureOfArea(where.value);
    return feature ? nameOf(feature) : where.value;
  }
  if (where?.kind === "bbox") return t("answer.view");
  if (where?.kind === "wkt") return t("answer.drawn");
  if (where?.kind === "feature") {
    const { id, properties } = await featureOf(where.value);
    return (config.lang === "en" && properties.name_en) || properties.name || properties.title || id;
  }
  return t("answer.everywhere");
}

/** `<collection>/<id>` → the feature. */
export function featureOf(reference) {
  const slash = reference.indexOf("/");
  const [collection, id] = [reference.slice(0, slash), reference.slice(slash + 1)];
  return getJson(`collections/${encodeURIComponent(collection)}/items/${encodeURIComponent(id)}`);
}

/** A command that asks the same anywhere. */
export function curlOf(path, body) {
  const text = JSON.stringify(body).replaceAll("'", "'\\''");
  return `curl -s -X POST '${config.publicUrl}/${path}' \\\n  -H 'Content-Type: application/json' \\\n  -d '${text}'`;
}

/** True for a day as the date fields write it. */
export const isDay = (text) => DAY.test(text) && !Number.isNaN(Date.parse(text));
