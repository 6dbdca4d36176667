// The page: wires map, layers, record, question and snippets together.
import { allFeatures, getJson } from "./api.js";
import { areaByCode, areaPicker, nameOf, showAreas } from "./areas.js";
import { Sketch } from "./draw.js";
import { DRAWN, showLayerPanel } from "./layers.js";
import { createMap } from "./map.js";
import { byId, config, isNarrow, say, t } from "./page.js";
import { Answer } from "./question.js";
import { RecordPanel } from "./record.js";
import { boundsOf } from "./shapes.js";
import { showSnippets } from "./snippets.js";
import { TILED, buildingZoom } from "./style.js";
import { wireTabs } from "./tabs.js";

const CLICKABLE = ["cameras", "sensors", "buildings", "imagery"];
const CLUSTERS = ["cameras-clusters", "sensors-clusters"];

/** id → title, count and bounds of every collection the server knows. */
async function readCollections() {
  const { collections } = await getJson("collections");
  return Object.fromEntries(collections.map((one) => {
    const box = one.extent?.spatial?.bbox?.[0];
    const half = box ? box.length / 2 : 0;
    return [one.id, {
      title: config.collections[one.id]?.title ?? one.title ?? one.id,
      count: one.itemCount ?? one.featureCount ?? one.count ?? null,
      bounds: box ? [[box[0], box[1]], [box[half], box[half + 1]]] : null,
      attribution: one.attribution ?? null,
    }];
  }));
}

function wireMap(map, collections) {
  window.cim.map = map;
  showAreas(map).catch((error) => say(error.message, { isError: true }));
  allFeatures("imagery", {}, 5000).then((features) => {
    for (const feature of features) feature.properties.id = feature.id;
    map.getSource("imagery").setData({ type: "FeatureCollection", features: features.filter((feature) => feature.geometry) });
  }).catch((error) => say(error.message, { isError: true }));

  const { record, asking } = wirePanels(map);
  map.on("click", ({ point, lngLat }) => {
    if (asking.isDrawing()) return;
    const reach = [[point.x - 4, point.y - 4], [point.x + 4, point.y + 4]];
    const hits = map.queryRenderedFeatures(reach, { layers: CLICKABLE });
    const rank = (feature) => CLICKABLE.indexOf(feature.layer.id);
    const exact = map.queryRenderedFeatures(point, { layers: CLICKABLE });
    const hit = [...(exact.length ? exact : hits)].sort((a, b) => rank(a) - rank(b))[0];
    if (!hit && map.queryRenderedFeatures(reach, { layers: CLUSTERS }).length) {
      return map.easeTo({ center: lngLat, zoom: map.getZoom() + 1.5 }); // nearer, where its points stand apart
    }
    if (!hit) return record.close();
    // on a phone the record covers the lower half
    if (isNarrow()) map.easeTo({ center: lngLat, offset: [0, -window.innerHeight * 0.22] });
    return record.open(hit.layer.id, String(hit.properties.id ?? hit.id));
  });
  map.on("mousemove", ({ point }) => {
    const isOver = !asking.isDrawing() && !map.isMoving() && map.queryRenderedFeatures(point, { layers: [...CLICKABLE, ...CLUSTERS] }).length > 0;
    map.getCanvas().classList.toggle("is-over", isOver);
  });

  const hint = () => { byId("zoom-hint").hidden = map.getZoom() >= buildingZoom(collections.buildings?.count) || !collections.buildings?.count; };
  map.on("zoomend", hint);
  hint();
}

/** The record panel, whose feature is marked on the map, and the question panel; `map` is null without WebGL. */
function wirePanels(map) {
  let selection = null;
  const mark = (chosen, isSelected) => chosen && map?.setFeatureState(
    { source: chosen.collection, id: chosen.id, ...(TILED.includes(chosen.collection) ? { sourceLayer: chosen.collection } : {}) },
    { selected: isSelected });
  const record = new RecordPanel((chosen) => {
    mark(selection, false);
    selection = chosen;
    mark(selection, true);
    map?.getSource("selection").setData(chosen?.geometry ?? { type: "FeatureCollection", features: [] });
  });
  return { record, asking: wireQuestion(map, record) };
}

/** The "ask" panel: draw, take the view, or pick an area; then numbers and the first buildings. */
function wireQuestion(map, record) {
  const showQuestion = (geometry) => map?.getSource("question").setData(geometry ?? { type: "FeatureCollection", features: [] });
  const frame = (geometry, { right = 80, pitch = map?.getPitch() } = {}) => {
    const bounds = boundsOf(geometry);
    if (!bounds || !map) return;
    const padding = isNarrow() ? { top: 70, bottom: window.innerHeight * 0.5, left: 30, right: 30 } : { top: 90, bottom: 70, left: 400, right };
    map.fitBounds(bounds, { padding, maxZoom: 17.5, pitch, bearing: map.getBearing() });
  };
  const answer = new Answer((id, geometry, opener) => {
    frame(geometry, { right: 430, pitch: 35 }); // beside the record, and steep enough to see past its neighbours
    record.open("buildings", id, { opener });
  });
  let picker = null;
  const ask = (question, label) => {
    byId("clear").hidden = false;
    return answer.ask(question, label);
  };
  const forget = () => {
    answer.clear();
    showQuestion(null);
    byId("clear").hidden = true;
    rememberArea(null);
  };
  const sketch = map && new Sketch(map, (geometry) => {
    picker?.reset();
    rememberArea(null);
    showQuestion(geometry);
    if (isNarrow()) frame(geometry);
    ask({ geometry }, t("answer.drawn"));
  }, () => {
    for (const kind of ["polygon", "rectangle"]) byId(`draw-${kind}`).setAttribute("aria-pressed", String(sketch.kind === kind));
  });
  const pick = (area, { moves = true } = {}) => {
    if (!area) return forget();
    showQuestion(area.geometry);
    if (moves) frame(area.geometry);
    rememberArea(area.properties.code);
    return ask({ area: area.properties.code }, nameOf(area));
  };

  for (const id of ["draw-polygon", "draw-rectangle", "ask-view"]) byId(id).disabled = !map;
  for (const kind of ["polygon", "rectangle"]) {
    byId(`draw-${kind}`).addEventListener("click", () => {
      if (sketch.kind === kind) return sketch.cancel();
      forget();
      document.body.classList.add("shows-map"); // on a phone the panel makes room
      return sketch.start(kind);
    });
  }
  byId("ask-view").addEventListener("click", () => {
    const box = map.getBounds();
    const bbox = [box.getWest(), box.getSouth(), box.getEast(), box.getNorth()].map((value) => Number(value.toFixed(7)));
    forget();
    picker?.reset();
    ask({ bbox }, t("answer.view"));
  });
  byId("clear").addEventListener("click", () => {
    forget();
    picker?.reset();
  });
  areaPicker(byId("area-picker"), pick).then(async (made) => {
    picker = made;
    const code = areaInAddress();
    if (!code) return;
    await picker.show(code);
    if (areaByCode(code)) {
      byId("tab-ask").click();
      pick(areaByCode(code), { moves: false });
    }
  }).catch((error) => say(error.message, { isError: true }));
  return { isDrawing: () => Boolean(sketch?.isActive) };
}

const areaInAddress = () => new URLSearchParams(location.hash.slice(1)).get("area");

/** Keeps the picked area in the address, beside the map's own part, so that the page can be shared. */
function rememberArea(code) {
  const parts = location.hash.slice(1).split("&").filter((part) => part && !part.startsWith("area="));
  if (code) parts.push(`area=${code}`);
  history.replaceState(history.state, "", `${location.pathname}${location.search}#${parts.join("&")}`);
}

async function start() {
  window.cim = { map: null };
  wireTabs();
  byId("language").addEventListener("click", (event) => { event.currentTarget.hash = location.hash; });
  let collections = {};
  try {
    collections = await readCollections();
  } catch (error) {
    say(`${t("error.collections")} ${error.message}`, { isError: true, stays: true });
  }
  showSnippets(collections);
  showLayerPanel(collections, (id, isVisible) => {
    for (const layer of DRAWN[id]) window.cim.map?.setLayoutProperty(layer, "visibility", isVisible ? "visible" : "none");
  });
  try {
    wireMap(await createMap(byId("map"), collections), collections);
    if (collections.buildings?.count === 0) say(t("error.empty"), { stays: true });
  } catch (error) {
    console.warn(error);
    byId("map-missing").hidden = false;
    if (!window.cim.map) wirePanels(null);
  }
}

start();
