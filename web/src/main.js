// The page: wires the state in the address, the map and the panels together.
import { wireAnswer } from "./answer.js";
import { wireCompare } from "./compare.js";
import { wireExport } from "./exporting.js";
import { wireFilters } from "./filters.js";
import { colourOf, drawnIds, showLayerPanel } from "./layers.js";
import { MapView } from "./map.js";
import { byId, copyButton, isNarrow, number, say, t } from "./page.js";
import { frame, isBusy, wirePlace } from "./place.js";
import { wirePrint } from "./printing.js";
import { RecordPanel } from "./record.js";
import { collectionOf, collections, readRegistry } from "./registry.js";
import { wireSearch } from "./search.js";
import { showSnippets } from "./snippets.js";
import { setView, theView, whenDrawn } from "./stage.js";
import { change, current, permalink, whenever } from "./state.js";
import { buildingZoom } from "./style.js";
import { wireTable } from "./table.js";
import { wireTabs } from "./tabs.js";
import { wireTime } from "./time.js";

/** Where the address says the map looks; null where it says nothing. */
function cameraOf({ map }) {
  const [zoom, lat, lng, bearing, pitch] = map.split("/").map(Number);
  if (!map || ![zoom, lat, lng].every(Number.isFinite) || Math.abs(lat) > 85 || Math.abs(lng) > 180) return null;
  return { center: [lng, lat], zoom, bearing: bearing || 0, pitch: pitch || 0 };
}

const cameraText = (map) => {
  const { lng, lat } = map.getCenter();
  const turned = [map.getBearing(), map.getPitch()].map((value) => Number(value.toFixed(1)));
  return [Number(map.getZoom().toFixed(2)), lat.toFixed(5), lng.toFixed(5), ...(turned[0] || turned[1] ? turned : [])].join("/");
};

/** The map keeps its place in the address, and goes where the address says. */
function followCamera(map) {
  let isLed = false;
  map.on("moveend", () => {
    isLed = true;
    change({ map: cameraText(map) }, { isStep: false });
    isLed = false;
  });
  whenever(["map"], (state) => {
    const camera = cameraOf(state);
    if (camera && !isLed) map.jumpTo(camera);
  });
}

/** Draws what the state says. */
function followState(view) {
  view.setVisible(drawnIds(current()));
  view.setColour(colourOf(current()));
  view.setConditions(current());
  whenever(["on"], (state) => view.setVisible(drawnIds(state)));
  whenever(["colour"], (state) => view.setColour(colourOf(state)));
  whenever(["about", "filter", "date", "known"], (state) => view.setConditions(state));
}

/** Clicks open records. */
function wireClicks(view) {
  const { map } = view;
  map.on("click", ({ point, lngLat }) => {
    if (isBusy()) return;
    const hit = view.hit(point);
    if (!hit && view.hitsCluster(point)) {
      map.easeTo({ center: lngLat, zoom: map.getZoom() + 1.5 }); // nearer, where its points stand apart
      return;
    }
    change({ record: hit ? `${hit.collection}/${hit.id}` : "" });
  });
  map.on("mousemove", ({ point }) => {
    const isOver = !isBusy() && !map.isMoving() && (view.hit(point) !== null || view.hitsCluster(point));
    map.getCanvas().classList.toggle("is-over", isOver);
  });
  const count = collectionOf("buildings")?.count;
  const hint = () => { byId("zoom-hint").hidden = !count || map.getZoom() >= buildingZoom(count); };
  map.on("zoomend", hint);
  view.density.onChange = (most) => {
    byId("density-legend").hidden = !most;
    byId("density-most").textContent = number(most);
  };
  hint();
}

/** Whether the middle of `geometry` is out of what the panels leave of the map. */
function isOutOfSight(map, geometry) {
  let position = geometry.coordinates;
  while (Array.isArray(position[0])) [position] = position;
  const { x, y } = map.project(position);
  const { clientWidth: width, clientHeight: height } = map.getCanvas();
  const [left, right, bottom] = isNarrow() ? [20, 20, height * 0.5] : [400, 410, 60];
  return x < left || x > width - right || y < 70 || y > height - bottom;
}

/** The record, whose feature is marked on the map and brought into sight. */
function wireRecord() {
  const mark = (chosen, moves) => {
    const view = theView();
    view?.select(chosen);
    if (!view || !moves || !chosen?.geometry || chosen.collection === "areas") return;
    const { map } = view;
    if (map.getZoom() < 14.5 || isOutOfSight(map, chosen.geometry)) frame(map, chosen.geometry, { right: 430, pitch: Math.min(map.getPitch(), 35) });
  };
  const record = new RecordPanel(mark);
  whenDrawn(() => record.chosen && mark(record.chosen, true));
}

/** Everything that works on any map, or on none. */
function wirePanels() {
  showSnippets();
  showLayerPanel();
  wirePlace();
  const filters = wireFilters();
  wireAnswer({ onProblem: (error) => filters.refuse(error) });
  wireTable();
  wireTime();
  wireExport();
  wireCompare();
  wireRecord();
  wirePrint();
  wireSearch();
  byId("copy-link").replaceWith(copyButton(permalink, t("copy.link")));
}

async function start() {
  window.cim = { map: null, second: null };
  import("maplibre-gl").catch(() => {}); // its half a megabyte is compiled while the registry is asked for
  wireTabs();
  byId("language").addEventListener("click", (event) => { event.currentTarget.hash = location.hash; });
  try {
    await readRegistry();
  } catch (error) {
    say(`${t("error.collections")} ${error.message}`, { isError: true, stays: true });
  }
  if (!collectionOf(current().about) && collections().length) change({ about: collections()[0].id, filter: "", rows: "" }, { isStep: false });
  const drawing = MapView.make(byId("map"), cameraOf(current())); // it loads while the panels are made
  wirePanels();
  if (collectionOf("buildings")?.count === 0) say(t("error.empty"), { stays: true });
  try {
    const view = await drawing;
    window.cim.map = view.map;
    followCamera(view.map);
    followState(view);
    setView(view);
    wireClicks(view);
  } catch (error) {
    console.warn(error);
    byId("map-missing").hidden = false;
  }
}

start();
