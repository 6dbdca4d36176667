// Buildings from afar: how many stand in each cell of a grid, counted by the server, where single ones would be too many to draw.
import { getJson } from "./api.js";
import { tileParametersOf } from "./question.js";
import { collectionOf } from "./registry.js";
import { DENSITY_REACHES, buildingZoom } from "./style.js";

const EDGES = [[12, 500], [11, 1000], [10, 2000], [9, 4000], [7.5, 12_000], [0, 50_000]];
const EMPTY = { type: "FeatureCollection", features: [] };

/** Edges of cells that do for a zoom, in metres: about 30 pixels, then larger ones, as the server gives 10,000 cells at most. */
const edgesAt = (zoom) => EDGES.filter(([from]) => zoom >= from).map(([, edge]) => edge);

/** Keeps the source `density` of a map as the zoom and the conditions ask; `onChange` is told how many the fullest cell has, 0 for none. */
export class Density {
  constructor(map) {
    this.map = map;
    this.onChange = () => {};
    this.limit = buildingZoom(collectionOf("buildings")?.count) + DENSITY_REACHES;
    this.known = new Map(); // conditions and edge → asked cells
    this.conditions = null; // until they are known nothing is asked
    if (!map.getSource("density")) return;
    map.on("zoomend", () => this.show());
  }

  setConditions(conditions) {
    this.conditions = conditions;
    this.show();
  }

  /** The cells of the first edge that the server gives; none where it gives none. */
  async first(edges) {
    for (const edge of edges) {
      try {
        return await this.ask(edge);
      } catch (error) {
        if (error.status !== 400) break; // not a matter of too many cells
      }
    }
    return EMPTY;
  }

  ask(edge) {
    const conditions = tileParametersOf("buildings", this.conditions);
    const key = JSON.stringify([edge, conditions]);
    if (!this.known.has(key)) {
      const asked = getJson("collections/buildings/aggregate", { f: "geojson", "group-by": `square(${edge})`, measures: "count", ...conditions });
      asked.catch(() => this.known.delete(key));
      this.known.set(key, asked);
    }
    return this.known.get(key);
  }

  async show() {
    if (!this.conditions || !this.map.getSource("density") || this.map.getZoom() >= this.limit || this.map.getLayoutProperty("buildings", "visibility") === "none") return;
    const edges = edgesAt(this.map.getZoom());
    const wanted = JSON.stringify([edges[0], tileParametersOf("buildings", this.conditions)]);
    if (this.wanted === wanted) return;
    this.wanted = wanted;
    const cells = await this.first(edges);
    if (this.wanted !== wanted) return;
    const most = Math.max(1, ...cells.features.map(({ properties }) => properties.count));
    for (const { properties } of cells.features) {
      properties.share = Math.sqrt(properties.count / most);
    }
    this.map.getSource("density").setData(cells);
    this.onChange(cells.features.length ? most : 0);
  }
}
