// A map view: MapLibre, in a chunk of its own so that the rest of the page works without it, and what it draws.
import { allFeatures, getJson } from "./api.js";
import { showAreas } from "./areas.js";
import { Density } from "./density.js";
import { config, isNarrow, say, t } from "./page.js";
import { tileParametersOf } from "./question.js";
import { BUILT_IN, collectionOf, collections } from "./registry.js";
import { fieldOfView } from "./shapes.js";
import { FONTS, WEDGE_ZOOM, buildingColour, buildingZoom, styleDocument, tiles, tilesOf } from "./style.js";

const NOTHING = { type: "FeatureCollection", features: [] };

/** Collection → ids of the map's layers that draw it; those of other collections come when they are first shown. */
export const DRAWN = {
  buildings: ["buildings", "buildings-flat", "buildings-clusters"],
  areas: ["areas-tint", "areas-community", "areas-street", "areas-district", "areas-city",
    "areas-name-city", "areas-name-district", "areas-name-street", "areas-name-community"],
  sensors: ["sensors", "sensors-clusters"],
  cameras: ["cameras", "cameras-clusters", "wedges", "wedges-line"],
  imagery: ["imagery", "imagery-fill"],
};

const styles = new Map();
/** The server's own style of a collection, fetched once: its layers without the ground. */
export function styleOf(collection) {
  if (!styles.has(collection)) {
    const asked = getJson(`collections/${encodeURIComponent(collection)}/style`)
      .then(({ layers }) => layers.filter((layer) => layer.type !== "background"));
    asked.catch(() => styles.delete(collection));
    styles.set(collection, asked);
  }
  return styles.get(collection);
}

function locale() {
  return {
    "Map.Title": t("map.label"),
    "NavigationControl.ZoomIn": t("map.zoom-in"),
    "NavigationControl.ZoomOut": t("map.zoom-out"),
    "NavigationControl.ResetBearing": t("map.north"),
    "ScaleControl.Meters": "m",
    "ScaleControl.Kilometers": "km",
  };
}

export class MapView {
  /** A map in `container`, loaded; throws where the browser has no WebGL. `camera` is where it looks, else it shows the buildings. */
  static async make(container, camera = null, label = t("map.label")) {
    const maplibre = await import("maplibre-gl");
    maplibre.setWorkerUrl(new URL(config.worker, document.baseURI).href);
    container.replaceChildren();
    const has = (id) => Boolean(collectionOf(id));
    const buildings = collectionOf("buildings");
    const bounds = buildings?.bounds ?? collectionOf("areas")?.bounds ?? collections().find((one) => one.bounds)?.bounds;
    const padding = isNarrow() ? { top: 60, bottom: 60, left: 0, right: 0 } : { top: 60, bottom: 10, left: 390, right: 20 };
    const start = camera ?? (bounds ? { bounds, fitBoundsOptions: { padding, maxZoom: 16.5, pitch: 48, bearing: -12 } } : { center: [114.06, 22.54], zoom: 10 });
    const map = new maplibre.Map({
      container, ...start,
      style: styleDocument(has, buildingZoom(buildings?.count)),
      maxPitch: 70, minZoom: 4, attributionControl: false, localIdeographFontFamily: FONTS, fadeDuration: matchMedia("(prefers-reduced-motion: reduce)").matches ? 0 : 150, locale: locale(),
    });
    map.addControl(new maplibre.NavigationControl({ visualizePitch: true }), "top-right");
    map.addControl(new maplibre.ScaleControl({ maxWidth: 90 }), "bottom-right");
    const canvas = map.getCanvas();
    canvas.setAttribute("role", "application");
    canvas.setAttribute("aria-label", label);
    canvas.setAttribute("aria-describedby", "map-keys");
    await new Promise((resolve, reject) => {
      map.once("load", resolve);
      map.on("error", ({ error, sourceId }) => {
        if (error?.name === "AbortError") return; // tiles of a question that is no longer asked
        console.error(error?.message || String(error));
        if (!sourceId) reject(error); // of the browser or the style; a tile's error leaves the rest of the map usable
      });
    });
    return new MapView(map);
  }

  constructor(map) {
    this.map = map;
    this.conditions = { about: "", filter: "", date: "", known: "" };
    this.drawn = { ...DRAWN };
    this.selection = null;
    this.density = new Density(map);
    showAreas(map).catch((error) => say(error.message, { isError: true }));
    this.visible = [];
    this.showFieldsOfView();
  }

  /** Scenes are few and without tiles: as GeoJSON. */
  async readImagery() {
    if (!this.map.getSource("imagery") || !this.visible.includes("imagery")) return;
    const conditions = JSON.stringify(tileParametersOf("imagery", this.conditions));
    if (this.scenesOf === conditions) return;
    this.scenesOf = conditions;
    try {
      const features = await allFeatures("imagery", tileParametersOf("imagery", this.conditions), 5000);
      for (const feature of features) feature.properties.id = feature.id;
      this.map.getSource("imagery")?.setData({ type: "FeatureCollection", features: features.filter((feature) => feature.geometry) });
    } catch (error) {
      this.scenesOf = null;
      say(error.message, { isError: true });
    }
  }

  /** Draws what the conditions of the state let through. */
  setConditions(state) {
    const before = this.conditions;
    this.conditions = { about: state.about, filter: state.filter, date: state.date, known: state.known };
    const differs = (id) => JSON.stringify(tileParametersOf(id, before)) !== JSON.stringify(tileParametersOf(id, this.conditions));
    this.density.setConditions(this.conditions);
    for (const { id } of collections()) {
      if (id === "areas" || !differs(id)) continue;
      if (id === "imagery") this.readImagery();
      else this.map.getSource(id)?.setTiles?.([tilesOf(id, tileParametersOf(id, this.conditions))]);
    }
  }

  /** Shows the collections in `ids` and hides all others. */
  setVisible(ids) {
    this.visible = ids;
    for (const { id } of collections()) {
      const isVisible = ids.includes(id);
      if (!this.drawn[id]) {
        if (isVisible && !BUILT_IN.includes(id)) this.addCollection(id);
        continue;
      }
      for (const layer of this.drawn[id]) {
        if (this.map.getLayer(layer)) this.map.setLayoutProperty(layer, "visibility", isVisible ? "visible" : "none");
      }
    }
    this.density.show();
    this.readImagery();
  }

  /** A collection that is not built in, drawn as its own style says. */
  async addCollection(id) {
    this.drawn[id] = [];
    try {
      const layers = await styleOf(id);
      if (this.map.getSource(id)) return;
      this.map.addSource(id, { ...tiles(id, 0), tiles: [tilesOf(id, tileParametersOf(id, this.conditions))] });
      for (const layer of layers) this.map.addLayer({ ...layer, id: `${id}/${layer.id}`, source: id }, "selection");
      this.drawn[id] = layers.map((layer) => `${id}/${layer.id}`);
      this.setVisible(this.visible);
    } catch (error) {
      delete this.drawn[id];
      say(error.message, { isError: true });
    }
  }

  setColour(property) {
    if (this.map.getLayer("buildings")) this.map.setPaintProperty("buildings", "fill-extrusion-color", buildingColour(property));
    if (this.map.getLayer("buildings-flat")) this.map.setPaintProperty("buildings-flat", "fill-color", buildingColour(property));
  }

  /** Draws the outline of the place that is asked about; null for none. */
  setPlace(geometry) {
    this.map.getSource("question").setData(geometry ?? NOTHING);
  }

  /** Marks one feature: `chosen` is its collection, id and geometry, or null. */
  select(chosen) {
    const mark = (one, isSelected) => one && this.map.getSource(one.collection) && this.map.setFeatureState(
      { source: one.collection, id: one.id, ...(this.map.getSource(one.collection).type === "vector" ? { sourceLayer: one.collection } : {}) },
      { selected: isSelected });
    mark(this.selection, false);
    this.selection = chosen;
    mark(chosen, true);
    this.map.getSource("selection").setData(chosen?.geometry ?? NOTHING);
  }

  /** Collection and feature under a point of the screen, the smallest things first, or null. */
  hit(point) {
    const rank = ["cameras", "sensors", ...Object.keys(this.drawn).filter((id) => !BUILT_IN.includes(id)), "buildings", "imagery"];
    const owner = new Map(rank.flatMap((id) => (this.drawn[id] ?? []).map((layer) => [layer, id])));
    const layers = [...owner.keys()].filter((id) => this.map.getLayer(id) && !id.startsWith("wedges") && !id.endsWith("-clusters"));
    const look = (where) => this.map.queryRenderedFeatures(where, { layers }).filter((one) => !("cluster" in one.properties))
      .map((feature) => ({ collection: owner.get(feature.layer.id), id: String(feature.properties.id ?? feature.id) }))
      .sort((a, b) => rank.indexOf(a.collection) - rank.indexOf(b.collection))[0];
    return look(point) ?? look([[point.x - 4, point.y - 4], [point.x + 4, point.y + 4]]) ?? null;
  }

  /** True where a mark that stands for several points is under the point. */
  hitsCluster(point) {
    const layers = ["cameras-clusters", "sensors-clusters", "buildings-clusters"].filter((id) => this.map.getLayer(id));
    return layers.length > 0 && this.map.queryRenderedFeatures([[point.x - 4, point.y - 4], [point.x + 4, point.y + 4]], { layers }).length > 0;
  }

  /** Keeps the wedges beside the cameras that are loaded: what each of them sees, where that is known. */
  showFieldsOfView() {
    if (!this.map.getSource("cameras")) return;
    let shown = "";
    this.map.on("idle", () => {
      const isVisible = this.map.getZoom() >= WEDGE_ZOOM - 0.5 && this.map.getLayoutProperty("cameras", "visibility") !== "none";
      const seen = new Map();
      if (isVisible) {
        for (const feature of this.map.querySourceFeatures("cameras", { sourceLayer: "cameras" })) {
          if (seen.size >= 3000) break;
          const ring = feature.geometry.type === "Point" && fieldOfView(feature.geometry.coordinates, feature.properties);
          if (ring) seen.set(feature.properties.id ?? feature.id, ring);
        }
      }
      const now = [...seen.keys()].sort().join(" ");
      if (now === shown) return; // setting the same data again would never let the map come to rest
      shown = now;
      this.map.getSource("wedges").setData({
        type: "FeatureCollection",
        features: [...seen].map(([id, ring]) => ({ type: "Feature", properties: { id }, geometry: { type: "Polygon", coordinates: [ring] } })),
      });
    });
  }

  remove() {
    this.map.remove();
  }
}
