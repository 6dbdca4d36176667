// Where a service is about: its extent over the areas of the node, and its data where it is a collection of this node.
import { allFeatures, getJson } from "../api.js";
import { ACCENT, GROUND } from "../colours.js";
import { config } from "../page.js";

const FONTS = "'Noto Sans CJK SC','PingFang SC','Microsoft YaHei',sans-serif";
const geojson = (data) => ({ type: "geojson", data: data ?? { type: "FeatureCollection", features: [] } });

function styleOf(extent) {
  return {
    version: 8,
    sources: { areas: geojson(), extent: geojson(extent) },
    layers: [
      { id: "ground", type: "background", paint: { "background-color": GROUND.sea } },
      { id: "land", type: "fill", source: "areas", paint: { "fill-color": GROUND.land } },
      { id: "areas", type: "line", source: "areas", paint: { "line-color": GROUND.district, "line-width": 1 } },
      { id: "extent-fill", type: "fill", source: "extent", paint: { "fill-color": ACCENT, "fill-opacity": 0.12 } },
      { id: "extent", type: "line", source: "extent", paint: { "line-color": ACCENT, "line-width": 2 } },
      {
        id: "names", type: "symbol", source: "areas",
        layout: { "text-field": ["get", "label"], "text-font": ["sans-serif"], "text-size": 11.5 },
        paint: { "text-color": GROUND.names[2], "text-halo-color": GROUND.halo, "text-halo-width": 1.5 },
      },
    ],
  };
}

async function drawAreas(map) {
  const features = (await allFeatures("areas", { level: "district" }, 1000)).filter((one) => one.geometry);
  for (const one of features) one.properties.label = (config.lang === "en" && one.properties.name_en) || one.properties.name || "";
  map.getSource("areas").setData({ type: "FeatureCollection", features });
}

async function drawCollection(map, id) {
  const path = `collections/${encodeURIComponent(id)}`;
  const { layers, sources } = await getJson(`${path}/style`);
  const root = new URL(config.root || "./", document.baseURI).href;
  for (const [name, source] of Object.entries(sources)) {
    const own = source.type === "vector" ? { ...source, tiles: [`${root}${path}/tiles/WebMercatorQuad/{z}/{y}/{x}`] } : source;
    map.addSource(`data-${name}`, own);
  }
  for (const layer of layers) {
    if (layer.type === "background" || !layer.source) continue;
    map.addLayer({ ...layer, id: `data-${layer.id}`, source: `data-${layer.source}` }, "extent-fill");
  }
}

/** Draws the map in `place` as soon as it comes into view; without WebGL there is none. */
export function enhance(place) {
  new IntersectionObserver((seen, watch) => {
    if (!seen.some((one) => one.isIntersecting)) return;
    watch.disconnect();
    draw(place).catch(() => { place.hidden = true; });
  }).observe(place);
}

async function draw(place) {
  const { geometry, bbox, collection, label } = place.dataset;
  const maplibre = await import("maplibre-gl");
  maplibre.setWorkerUrl(new URL(config.worker, document.baseURI).href);
  const extent = geometry ? JSON.parse(geometry) : null;
  const described = collection ? await getJson(`collections/${encodeURIComponent(collection)}`).catch(() => null) : null;
  const edges = bbox ? bbox.split(",").map(Number) : described?.extent?.spatial?.bbox?.[0];
  const box = edges?.length === 6 ? [edges[0], edges[1], edges[3], edges[4]] : edges;
  const map = new maplibre.Map({
    container: place, style: styleOf(extent), attributionControl: false, localIdeographFontFamily: FONTS, cooperativeGestures: false,
    ...(box ? { bounds: box, fitBoundsOptions: { padding: 18, maxZoom: 15 } } : { center: [114.06, 22.54], zoom: 9 }),
  });
  map.addControl(new maplibre.NavigationControl({ showCompass: false }), "top-right");
  map.scrollZoom.disable(); // the page is what scrolls
  map.getCanvas().setAttribute("aria-label", label);
  await map.once("load");
  place.dataset.drawn = "";
  await Promise.allSettled([drawAreas(map), described ? drawCollection(map, collection) : null]);
  window.cim = { map };
}
