// The map's style: no glyph server, no sprite, no tiles but our own. Names are drawn with the reader's own fonts.
import { ACCENT, CAMERA, CHOSEN, DENSITY, GROUND, IMAGERY, SENSOR_COLOURS, UNKNOWN, WEDGE, byCode, expressionOf } from "./colours.js";
import { address } from "./api.js";

export const FONTS = "'Noto Sans CJK SC','PingFang SC','Microsoft YaHei','Source Han Sans SC',sans-serif";
const BUILDING_PROPERTIES = "use,status,height_m,year_built,floors_above";
/** Below this zoom the tiles of `count` buildings are too much to draw: the page says so instead. */
export const buildingZoom = (count) => ((count ?? Infinity) <= 20_000 ? 11 : DENSE_ZOOM);
const DENSE_ZOOM = 13;
/** The density goes on a little under the first buildings: the fullest tiles of that zoom leave out their smallest ones. */
export const DENSITY_REACHES = 1;
/** Of so many buildings bodies are drawn from this zoom on, only their ground below it: there are 70,000 in a view, and a storey is a pixel. */
const BODIES_ZOOM = 14.3;
export const WEDGE_ZOOM = 16;
const EMPTY = { type: "FeatureCollection", features: [] };
const FACE = ["sans-serif"]; // any name: with local fonts it only chooses the weight

/** Height in metres: measured or stated, else three metres a floor, else one storey and a roof. */
export const HEIGHT = [
  "case",
  [">", ["to-number", ["get", "height_m"], 0], 0], ["to-number", ["get", "height_m"]],
  [">", ["to-number", ["get", "floors_above"], 0], 0], ["*", 3, ["to-number", ["get", "floors_above"]]],
  5,
];

/** Template of a collection's tile addresses under `parameters`; row before column. */
export function tilesOf(collection, parameters = {}) {
  const shown = collection === "buildings" ? { properties: BUILDING_PROPERTIES, ...parameters } : parameters;
  const asked = address(`collections/${encodeURIComponent(collection)}/tiles/WebMercatorQuad/`, shown);
  return `${asked.origin}${asked.pathname}{z}/{y}/{x}${asked.search}`;
}

/** A source of a collection's tiles. */
export const tiles = (collection, minzoom = 11) => ({ type: "vector", tiles: [tilesOf(collection)], minzoom, maxzoom: 16, promoteId: "id" });
const geojson = () => ({ type: "geojson", data: EMPTY, promoteId: "id" });
const line = (id, source, colour, width, more = {}) => ({
  id, source, type: "line", layout: { "line-join": "round", "line-cap": "butt" },
  paint: { "line-color": colour, "line-width": width, ...more.paint }, ...more.layer,
});
const selected = (yes, no) => ["case", ["boolean", ["feature-state", "selected"], false], yes, no];
const grow = (...stops) => ["interpolate", ["exponential", 1.4], ["zoom"], ...stops];
const point = (id, source, colour, sizes) => ({
  id, type: "circle", source, "source-layer": source, filter: ["!", ["has", "cluster"]],
  paint: {
    "circle-color": colour,
    "circle-radius": grow(...sizes),
    "circle-stroke-color": selected(CHOSEN, GROUND.stroke),
    "circle-stroke-width": grow(14, selected(4, 0), 15.5, selected(4, 0.9), 17, selected(4, 1.6)),
  },
});
// below zoom 13 the tiles hold marks that stand for several points
const clusters = (source, colour) => ({
  id: `${source}-clusters`, type: "circle", source, "source-layer": source, filter: ["has", "cluster"],
  paint: {
    "circle-color": colour,
    "circle-opacity": 0.7,
    "circle-radius": ["interpolate", ["linear"], ["log10", ["get", "point_count"]], 0, 2, 3, 9],
  },
});
const name = (level, minzoom, maxzoom, size, colour, more = {}) => ({
  id: `areas-name-${level}`, type: "symbol", source: "areas-names", minzoom, maxzoom,
  filter: ["==", ["get", "level"], level],
  layout: {
    "text-field": ["get", "label"], "text-font": FACE, "text-size": size, "text-max-width": 8, "text-padding": 6, ...more,
  },
  paint: { "text-color": colour, "text-halo-color": GROUND.halo, "text-halo-width": 1.6 },
});

const areaLayers = () => [
  { id: "areas-land", type: "fill", source: "areas-city", paint: { "fill-color": GROUND.land } },
  { id: "areas-tint", type: "fill", source: "areas-district", paint: { "fill-color": ["get", "tint"], "fill-antialias": false } },
  line("areas-community", "areas-community", GROUND.community, 1, { layer: { minzoom: 12.5 } }),
  line("areas-street", "areas-street", GROUND.street, grow(10, 0.6, 16, 1.8), { layer: { minzoom: 10 } }),
  line("areas-district", "areas-district", GROUND.district, grow(8, 0.8, 16, 2.6), { paint: { "line-dasharray": [5, 2] } }),
  line("areas-city", "areas-city", GROUND.city, grow(7, 1.2, 16, 3)),
];
const areaNames = () => [
  name("community", 14.2, 24, 11.5, GROUND.names[0]),
  name("street", 11.5, 15.5, grow(11, 11, 15, 14), GROUND.names[1], { "text-letter-spacing": 0.05 }),
  name("district", 8.5, 14.2, grow(9, 12, 13, 18), GROUND.names[2], { "text-letter-spacing": 0.12 }),
  name("city", 4, 9, 18, GROUND.names[3], { "text-letter-spacing": 0.2 }),
];
const imageryLayers = () => [
  { id: "imagery-fill", type: "fill", source: "imagery", paint: { "fill-color": IMAGERY, "fill-opacity": selected(0.12, 0) } },
  line("imagery", "imagery", IMAGERY, selected(3, 1.4), { paint: { "line-dasharray": [3, 2], "line-opacity": 0.75 } }),
];
const questionLayers = () => [
  { id: "question-fill", type: "fill", source: "question", paint: { "fill-color": CHOSEN, "fill-opacity": 0.1 } },
  line("question", "question", CHOSEN, 2.4),
];
const wedgeLayers = () => [
  { id: "wedges", type: "fill", source: "wedges", minzoom: WEDGE_ZOOM - 0.5, paint: { "fill-color": WEDGE, "fill-opacity": 0.13 } },
  line("wedges-line", "wedges", WEDGE, 0.8, { layer: { minzoom: WEDGE_ZOOM - 0.5 }, paint: { "line-opacity": 0.45 } }),
];
const buildingLayer = (minzoom) => ({
  id: "buildings", type: "fill-extrusion", source: "buildings", "source-layer": "buildings", minzoom,
  paint: { "fill-extrusion-color": buildingColour("use"), "fill-extrusion-height": HEIGHT, "fill-extrusion-vertical-gradient": true },
});
const flatBuildings = (maxzoom) => ({
  id: "buildings-flat", type: "fill", source: "buildings", "source-layer": "buildings", maxzoom,
  paint: { "fill-color": buildingColour("use"), "fill-antialias": false },
});
const densityLayer = (maxzoom) => ({
  id: "buildings-clusters", type: "fill", source: "density", maxzoom: maxzoom + DENSITY_REACHES,
  paint: { "fill-color": ["interpolate", ["linear"], ["get", "share"], ...DENSITY.flatMap((colour, i) => [i / (DENSITY.length - 1), colour])], "fill-opacity": ["interpolate", ["linear"], ["zoom"], maxzoom - 0.1, 0.8, maxzoom, 0.3, maxzoom + DENSITY_REACHES, 0.1], "fill-antialias": false },
});
const sketchLayers = () => [
  { id: "sketch-fill", type: "fill", source: "sketch", filter: ["==", ["geometry-type"], "Polygon"], paint: { "fill-color": ACCENT, "fill-opacity": 0.14 } },
  line("sketch-line", "sketch", ACCENT, 2.2, { layer: { filter: ["!=", ["geometry-type"], "Point"] } }),
  {
    id: "sketch-corners", type: "circle", source: "sketch", filter: ["==", ["geometry-type"], "Point"],
    paint: { "circle-radius": 5, "circle-color": "#ffffff", "circle-stroke-color": ACCENT, "circle-stroke-width": 2.4 },
  },
];

/** A style of the ground and the areas' boundaries only, with `sources` and `layers` over them and the names on top. */
export function groundDocument(sources, layers) {
  const areas = Object.fromEntries(["areas-city", "areas-district", "areas-street", "areas-community", "areas-names"].map((id) => [id, geojson()]));
  const ground = { id: "ground", type: "background", paint: { "background-color": GROUND.sea } };
  return { version: 8, sources: { ...areas, ...sources }, layers: [ground, ...areaLayers(), ...layers, ...areaNames()] };
}

/** Colour of buildings by one of BUILDING_COLOURS, the chosen one apart. */
export const buildingColour = (property) => selected(CHOSEN, expressionOf(property));

/** The whole style document for the collections that `has` names, buildings from zoom `buildingMinzoom` on. Layers come in drawing order. */
export function styleDocument(has, buildingMinzoom) {
  const sources = Object.fromEntries(["wedges", "question", "selection", "sketch"].map((id) => [id, geojson()]));
  if (has("areas")) for (const id of ["areas-city", "areas-district", "areas-street", "areas-community", "areas-names"]) sources[id] = geojson();
  if (has("imagery")) sources.imagery = geojson();
  if (has("buildings")) Object.assign(sources, { buildings: tiles("buildings", buildingMinzoom), density: geojson() });
  if (has("sensors")) sources.sensors = tiles("sensors");
  if (has("cameras")) sources.cameras = tiles("cameras");
  return {
    version: 8,
    light: { anchor: "viewport", color: "#ffffff", intensity: 0.28, position: [1.4, 205, 32] },
    sources,
    layers: [
      { id: "ground", type: "background", paint: { "background-color": GROUND.sea } },
      ...areaLayers().flatMap((layer) => (layer.id === "areas-tint" ? [layer, densityLayer(buildingMinzoom)] : [layer])), ...imageryLayers(), ...questionLayers(), ...wedgeLayers(),
      ...(buildingMinzoom < DENSE_ZOOM ? [buildingLayer(buildingMinzoom)] : [flatBuildings(BODIES_ZOOM), buildingLayer(BODIES_ZOOM)]),
      line("selection", "selection", CHOSEN, 3, { layer: { filter: ["!=", ["geometry-type"], "Point"] } }), // seen through what stands before it
      clusters("sensors", UNKNOWN),
      clusters("cameras", CAMERA),
      point("sensors", "sensors", byCode("kind", SENSOR_COLOURS), [11, 0.8, 14, 1.7, 15.5, 3.4, 17.5, 6.5]),
      point("cameras", "cameras", CAMERA, [11, 0.8, 14, 1.7, 15.5, 3.2, 17.5, 6]),
      ...sketchLayers(), ...areaNames(),
    ].filter((layer) => !layer.source || sources[layer.source]),
  };
}
