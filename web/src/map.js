// The map: made once, with MapLibre in a chunk of its own so that the rest of the page works without it.
import { config, isNarrow, t } from "./page.js";
import { FONTS, WEDGE_ZOOM, buildingZoom, styleDocument } from "./style.js";
import { fieldOfView } from "./shapes.js";

/** The map over the buildings (else the areas), loaded; throws where the browser has no WebGL. */
export async function createMap(container, { buildings, areas }) {
  const maplibre = await import("maplibre-gl");
  maplibre.setWorkerUrl(new URL(config.worker, document.baseURI).href);
  container.replaceChildren();
  const bounds = buildings?.bounds ?? areas?.bounds;
  const padding = isNarrow() ? { top: 60, bottom: 60, left: 0, right: 0 } : { top: 60, bottom: 10, left: 370, right: 20 };
  const map = new maplibre.Map({
    container,
    style: styleDocument(buildingZoom(buildings?.count)),
    ...(bounds ? { bounds, fitBoundsOptions: { padding, maxZoom: 16.5, pitch: 48, bearing: -12 } } : { center: [114.06, 22.54], zoom: 10 }),
    hash: "map",
    maxPitch: 70,
    minZoom: 4,
    attributionControl: false,
    localIdeographFontFamily: FONTS,
    fadeDuration: 150,
    locale: {
      "Map.Title": t("map.label"),
      "NavigationControl.ZoomIn": t("map.zoom-in"),
      "NavigationControl.ZoomOut": t("map.zoom-out"),
      "NavigationControl.ResetBearing": t("map.north"),
      "ScaleControl.Meters": "m",
      "ScaleControl.Kilometers": "km",
      "AttributionControl.ToggleAttribution": t("map.attribution"),
    },
  });
  map.addControl(new maplibre.NavigationControl({ visualizePitch: true }), "top-right");
  map.addControl(new maplibre.ScaleControl({ maxWidth: 90 }), "bottom-right");
  const canvas = map.getCanvas();
  canvas.setAttribute("role", "application");
  canvas.setAttribute("aria-label", t("map.label"));
  canvas.setAttribute("aria-describedby", "map-keys");
  await new Promise((resolve, reject) => {
    map.once("load", resolve);
    map.on("error", ({ error, sourceId }) => {
      console.error(error?.message || String(error));
      if (!sourceId) reject(error); // of the browser or the style; a tile's error leaves the rest of the map usable
    });
  });
  showFieldsOfView(map);
  return map;
}

/** Keeps the wedges beside the cameras that are loaded: what each of them sees, where that is known. */
function showFieldsOfView(map) {
  let shown = "";
  const refresh = () => {
    const isVisible = map.getZoom() >= WEDGE_ZOOM - 0.5 && map.getLayoutProperty("cameras", "visibility") !== "none";
    const seen = new Map();
    if (isVisible) {
      for (const feature of map.querySourceFeatures("cameras", { sourceLayer: "cameras" })) {
        if (seen.size >= 3000) break;
        const ring = feature.geometry.type === "Point" && fieldOfView(feature.geometry.coordinates, feature.properties);
        if (ring) seen.set(feature.properties.id ?? feature.id, ring);
      }
    }
    const now = [...seen.keys()].sort().join(" ");
    if (now === shown) return; // setting the same data again would never let the map come to rest
    shown = now;
    map.getSource("wedges").setData({
      type: "FeatureCollection",
      features: [...seen].map(([id, ring]) => ({
        type: "Feature", properties: { id }, geometry: { type: "Polygon", coordinates: [ring] },
      })),
    });
  };
  map.on("idle", refresh);
}
