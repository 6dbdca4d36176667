// Drawing a polygon or rectangle: click corners; double click or Enter ends; Escape cancels.
// By keyboard: the arrow keys move the map under the cross, Space sets a corner there, Backspace takes it back.
import { byId, say, t } from "./page.js";
import { crossesItself, polygonOf } from "./shapes.js";

const rectangle = ([[ax, ay], [bx, by]]) => [[ax, ay], [bx, ay], [bx, by], [ax, by]];

export class Sketch {
  constructor(map, onDone, onChange) {
    this.map = map;
    this.onDone = onDone;
    this.onChange = onChange;
    this.kind = null;
    map.on("click", (event) => this.isActive && this.add(event.lngLat, event.point));
    map.on("dblclick", (event) => {
      if (!this.isActive) return;
      event.preventDefault();
      this.finish();
    });
    map.on("mousemove", (event) => this.isActive && this.draw([event.lngLat.lng, event.lngLat.lat]));
    map.getCanvas().addEventListener("keydown", (event) => this.isActive && this.key(event));
    document.addEventListener("keydown", (event) => this.isActive && event.key === "Escape" && this.cancel());
    byId("sketch-finish").addEventListener("click", () => this.finish());
    byId("sketch-undo").addEventListener("click", () => this.undo());
    byId("sketch-cancel").addEventListener("click", () => this.cancel());
  }

  get isActive() {
    return this.kind !== null;
  }

  start(kind) {
    this.kind = kind;
    this.corners = [];
    this.map.doubleClickZoom.disable();
    this.map.getCanvas().classList.add("is-drawing");
    byId("sketch-bar").hidden = false;
    byId("sketch-help").textContent = t(`draw.${kind}.help`);
    this.map.getCanvas().focus();
    this.draw();
    this.onChange();
  }

  stop() {
    this.kind = null;
    this.corners = [];
    this.map.getCanvas().classList.remove("is-drawing");
    byId("sketch-bar").hidden = true;
    byId("cross").hidden = true;
    this.map.getSource("sketch").setData({ type: "FeatureCollection", features: [] });
    setTimeout(() => this.map.doubleClickZoom.enable(), 0); // not for the click that ended the drawing
    this.onChange();
  }

  cancel() {
    this.stop();
    say(t("draw.cancelled"));
  }

  add({ lng, lat }, point) {
    // the second click of a double click, or Space pressed twice, is the same corner
    const last = this.corners.length && this.map.project(this.corners.at(-1));
    if (last && Math.hypot(point.x - last.x, point.y - last.y) < 4) return;
    this.corners.push([Number(lng.toFixed(7)), Number(lat.toFixed(7))]);
    this.draw();
    if (this.kind === "rectangle" && this.corners.length === 2) this.finish();
  }

  undo() {
    this.corners.pop();
    this.draw();
  }

  finish() {
    const corners = this.kind === "rectangle" && this.corners.length === 2 ? rectangle(this.corners) : this.corners;
    if (corners.length < 3) return say(t("draw.too-few"), { isError: true });
    if (crossesItself(corners)) return say(t("draw.crosses"), { isError: true });
    const geometry = polygonOf(corners);
    this.stop();
    return this.onDone(geometry);
  }

  key(event) {
    const actions = { Enter: () => this.finish(), Backspace: () => this.undo(), " ": () => this.addAtCross() };
    if (actions[event.key]) {
      event.preventDefault();
      actions[event.key]();
    } else if (event.key.startsWith("Arrow")) {
      byId("cross").hidden = false;
    }
  }

  addAtCross() {
    byId("cross").hidden = false;
    const box = this.map.getCanvas().getBoundingClientRect();
    const point = { x: box.width / 2, y: box.height / 2 };
    this.add(this.map.unproject([point.x, point.y]), point);
  }

  draw(pointer) {
    const shown = pointer && this.corners.length ? [...this.corners, pointer] : this.corners;
    const outline = this.kind === "rectangle" && shown.length === 2 ? rectangle(shown) : shown;
    const features = this.corners.map((corner) => ({ type: "Feature", properties: {}, geometry: { type: "Point", coordinates: corner } }));
    if (outline.length >= 3) features.push({ type: "Feature", properties: {}, geometry: polygonOf(outline) });
    else if (outline.length === 2) features.push({ type: "Feature", properties: {}, geometry: { type: "LineString", coordinates: outline } });
    this.map.getSource("sketch").setData({ type: "FeatureCollection", features });
    byId("sketch-count").textContent = t("draw.corners", { count: this.corners.length });
  }
}
