// Rejected rows on a map, where they have a place: a mark leads to its row in the table, a row to its mark.
import { getJson } from "../api.js";
import { showAreas } from "../areas.js";
import { config, element, number, t } from "../page.js";
import { FONTS, groundDocument, tiles } from "../style.js";

const ALARM = "#c2361a";
const MENDED = "#d99b00";
const STORED = "#4d7f88";
const CHOSEN = "#f29f3d";
const NOTHING = { type: "FeatureCollection", features: [] };
const chosen = (yes, no) => ["case", ["boolean", ["feature-state", "chosen"], false], yes, no];

/** What is stored of the collection, faint under the marks: where a rejected row would stand. */
function stored(collection) {
  const one = (type, geometry, paint) => ({
    id: `stored-${type}`, type, source: "stored", "source-layer": collection, paint, filter: ["==", ["geometry-type"], geometry],
  });
  return [
    one("fill", "Polygon", { "fill-color": STORED, "fill-opacity": 0.3 }),
    one("line", "LineString", { "line-color": STORED, "line-width": 1.5 }),
    one("circle", "Point", { "circle-color": STORED, "circle-radius": 3, "circle-opacity": 0.6 }),
  ];
}

function layers(collection) {
  const colour = ["case", ["get", "rejected"], ALARM, MENDED];
  return [
    ...stored(collection),
    { id: "box", type: "line", source: "box", paint: { "line-color": ALARM, "line-width": 2, "line-dasharray": [3, 2] } },
    {
      id: "rejections", type: "circle", source: "rejections",
      paint: {
        "circle-color": colour, "circle-radius": chosen(9, 6), "circle-opacity": 0.85,
        "circle-stroke-color": chosen(CHOSEN, "#ffffff"), "circle-stroke-width": chosen(4, 1.4),
      },
    },
  ];
}

/** The box around all features' boxes. */
const around = (features) => features.reduce(
  ([w, s, e, n], { bbox }) => [Math.min(w, bbox[0]), Math.min(s, bbox[1]), Math.max(e, bbox[2]), Math.max(n, bbox[3])], [180, 90, -180, -90]);

const boxOf = ([w, s, e, n]) => ({ type: "LineString", coordinates: [[w, s], [e, s], [e, n], [w, n], [w, s]] });

async function drawn(container, features, collection) {
  const maplibre = await import("maplibre-gl");
  maplibre.setWorkerUrl(new URL(config.worker, document.baseURI).href);
  const sources = {
    rejections: { type: "geojson", data: { type: "FeatureCollection", features }, promoteId: "key" },
    box: { type: "geojson", data: NOTHING },
    stored: tiles(collection, 12),
  };
  const map = new maplibre.Map({
    container, style: groundDocument(sources, layers(collection)), bounds: around(features), fitBoundsOptions: { padding: 40, maxZoom: 16 },
    attributionControl: false, localIdeographFontFamily: FONTS, dragRotate: false, pitchWithRotate: false,
    locale: {
      "Map.Title": t("rejections.map"), "NavigationControl.ZoomIn": t("rejections.zoom-in"), "NavigationControl.ZoomOut": t("rejections.zoom-out"),
      "ScaleControl.Meters": "m", "ScaleControl.Kilometers": "km",
    },
  });
  map.addControl(new maplibre.NavigationControl({ showCompass: false }), "top-right");
  map.addControl(new maplibre.ScaleControl({ maxWidth: 90 }), "bottom-right");
  map.getCanvas().setAttribute("role", "application");
  map.getCanvas().setAttribute("aria-label", t("rejections.map"));
  await new Promise((resolve, reject) => {
    map.once("load", resolve);
    map.once("error", ({ error, sourceId }) => { if (!sourceId) reject(error); });
  });
  showAreas(map).catch(() => {}); // they are there to see where one is
  return map;
}

/** Both ways between the marks and the rows. */
function wire(map, features, line) {
  const known = new Map(features.map((feature) => [feature.id, feature]));
  const rows = new Map([...document.querySelectorAll("#rejected-rows tr[data-key]")].map((row) => [row.dataset.key, row]));
  let last = null;
  const choose = (key, { moves = false, scrolls = false } = {}) => {
    const mark = (one, isChosen) => {
      if (one === null) return;
      map.setFeatureState({ source: "rejections", id: one }, { chosen: isChosen });
      rows.get(one)?.classList.toggle("is-chosen", isChosen);
    };
    mark(last, false);
    last = key;
    mark(key, true);
    const { bbox, geometry, properties } = known.get(key);
    map.getSource("box").setData(boxOf(bbox));
    const told = properties.value ? [properties.field, properties.value].filter(Boolean).join(" = ") : "";
    line.textContent = [`${t("rejections.row", { row: number(properties.row) })}: ${properties.reason}`, told].filter(Boolean).join(" · ");
    if (moves) map.easeTo({ center: geometry.coordinates, zoom: Math.max(map.getZoom(), 15) });
    if (scrolls) rows.get(key)?.scrollIntoView({ block: "nearest", behavior: "smooth" });
  };
  const under = ({ x, y }) => map.queryRenderedFeatures([[x - 4, y - 4], [x + 4, y + 4]], { layers: ["rejections"] })[0];
  map.on("click", ({ point }) => {
    const found = under(point);
    if (found) choose(found.properties.key, { scrolls: true });
  });
  map.on("mousemove", ({ point }) => { map.getCanvas().style.cursor = under(point) ? "pointer" : ""; });
  for (const [key, row] of rows) {
    const cell = row.querySelector(".is-place");
    if (!known.has(key)) continue;
    const text = cell.textContent;
    cell.replaceChildren(element("button", { type: "button", class: "link", onclick: () => choose(key, { moves: true }) }, text));
  }
}

export async function enhance(place) {
  const { run, code, collection, most } = place.dataset;
  const asked = { f: "places", limit: most, ...(code ? { code } : {}) };
  const { features } = await getJson(`admin/loads/${run}/rejections`, asked);
  if (!features.length) return;
  for (const feature of features) feature.properties.key = feature.id;
  const container = element("div", { class: "where-map" });
  const line = element("p", { class: "hint", role: "status" });
  place.append(container, line);
  place.hidden = false;
  try {
    const map = await drawn(container, features, collection);
    window.cim = { ...window.cim, map }; // for whoever looks from outside: tests, the console
    wire(map, features, line);
  } catch (error) {
    console.warn(error);
    place.hidden = true; // no WebGL: the table says it all
  }
}
