// The footprint of a feature as a small drawing, north up, with its size.
import { element, number, t } from "./page.js";
import { boundsOf } from "./shapes.js";

const SVG = "http://www.w3.org/2000/svg";
const SIDE = 96;

function svg(tag, attributes, ...children) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

/** Metres from west to east and from south to north. */
export function extentOf(geometry) {
  const [[west, south], [east, north]] = boundsOf(geometry);
  return [(east - west) * 111_320 * Math.cos(((south + north) / 2) * (Math.PI / 180)), (north - south) * 111_320];
}

/** The drawing with height and size beside it; null for what is no building's polygon. */
export function planOf({ geometry, properties }) {
  if (!/Polygon$/.test(geometry?.type ?? "") || !("footprint_area_m2" in properties)) return null;
  const [[west], [, north]] = boundsOf(geometry);
  const [width, height] = extentOf(geometry);
  const scale = (SIDE - 12) / Math.max(width, height, 1);
  const shrink = Math.cos((north * Math.PI) / 180);
  const at = ([x, y]) => `${(6 + (x - west) * 111_320 * shrink * scale + (SIDE - 12 - width * scale) / 2).toFixed(1)} ${(6 + (north - y) * 111_320 * scale + (SIDE - 12 - height * scale) / 2).toFixed(1)}`;
  const rings = (geometry.type === "Polygon" ? [geometry.coordinates] : geometry.coordinates).flat();
  const drawing = svg("svg", { viewBox: `0 0 ${SIDE} ${SIDE}`, role: "img", "aria-label": t("plan.label", { width: number(width), height: number(height) }) },
    svg("path", { d: rings.map((ring) => `M${ring.map(at).join("L")}Z`).join(""), "fill-rule": "evenodd" }));
  const facts = [
    [t("plan.size"), `${number(width)} × ${number(height)} m`],
    properties.height_m != null && [t("plan.height"), `${number(properties.height_m, 1)} m`],
    properties.floors_above != null && [t("plan.floors"), number(properties.floors_above)],
    [t("answer.footprint"), `${number(properties.footprint_area_m2)} m²`],
  ].filter((one) => one && one[1] !== "– m²");
  return element("div", { class: "plan" }, drawing, element("dl", {}, ...facts.map(([name, value]) => element("div", {}, element("dt", {}, name), element("dd", {}, value)))));
}
