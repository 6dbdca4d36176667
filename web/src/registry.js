// The collections that this caller may see, and what is known about each.
import { getJson } from "./api.js";
import { config } from "./page.js";

export const BUILT_IN = ["buildings", "areas", "sensors", "cameras", "imagery"];
const known = {};

/** id → title, count, bounds, times of every collection of the registry; the built-in ones first. */
export async function readRegistry() {
  const { collections } = await getJson("collections");
  const rank = ({ id }) => (BUILT_IN.includes(id) ? BUILT_IN.indexOf(id) : BUILT_IN.length);
  const ofFeatures = collections.filter(({ itemType }) => itemType !== "record"); // the catalogue is one of records
  for (const one of ofFeatures.sort((a, b) => rank(a) - rank(b))) {
    const box = one.extent?.spatial?.bbox?.[0];
    const half = box ? box.length / 2 : 0;
    known[one.id] = {
      id: one.id,
      title: config.collections[one.id]?.title ?? one.title ?? one.id,
      count: one.itemCount ?? null,
      bounds: box ? [[box[0], box[1]], [box[half], box[half + 1]]] : null,
      times: one.extent?.temporal?.interval?.[0] ?? [null, null],
      formats: (one.links ?? []).filter((link) => link.rel === "enclosure").map((link) => new URL(link.href).searchParams.get("f")),
    };
  }
  return known;
}

/** The collection, or undefined where the caller sees none of that name. */
export const collectionOf = (id) => known[id];
/** All of them, in order. */
export const collections = () => Object.values(known);
export const titleOf = (id) => known[id]?.title ?? config.collections[id]?.title ?? id;
