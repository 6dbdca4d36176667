// The layer panel: what is drawn, how many there are, and what the colours mean.
import { CAMERA, IMAGERY, SENSOR_COLOURS, UNKNOWN, USE_COLOURS } from "./colours.js";
import { schemaOf } from "./api.js";
import { byId, config, element, number, t } from "./page.js";
import { codesOf } from "./record.js";

/** Collection → ids of the map's layers that draw it. */
export const DRAWN = {
  buildings: ["buildings"],
  areas: ["areas-tint", "areas-community", "areas-street", "areas-district", "areas-city",
    "areas-name-city", "areas-name-district", "areas-name-street", "areas-name-community"],
  sensors: ["sensors", "sensors-clusters"],
  cameras: ["cameras", "cameras-clusters", "wedges", "wedges-line"],
  imagery: ["imagery", "imagery-fill"],
};
const MARKS = { areas: ["line", "#86989a"], cameras: ["dot", CAMERA], imagery: ["dash", IMAGERY] };
const LEGENDS = { buildings: ["use", USE_COLOURS, "box"], sensors: ["kind", SENSOR_COLOURS, "dot"] };

function swatch(shape, colour) {
  const mark = element("span", { class: `swatch is-${shape}`, "aria-hidden": "true" });
  mark.style.setProperty("--colour", colour);
  return mark;
}

async function legend(collection) {
  const [property, colours, shape] = LEGENDS[collection];
  const titles = codesOf((await schemaOf(collection)).properties?.[property]);
  const entries = Object.entries(colours).map(([code, colour]) =>
    element("li", {}, swatch(shape, colour), titles.get(code) ?? code));
  entries.push(element("li", {}, swatch(shape, UNKNOWN), t("use.unknown")));
  return element("ul", { class: "legend" }, ...entries);
}

/** Writes the panel; `setVisible(collection, isVisible)` is called when a box is ticked. */
export function showLayerPanel(collections, setVisible) {
  byId("layer-list").replaceChildren(...Object.keys(DRAWN).map((id) => {
    const collection = collections[id];
    const box = element("input", { type: "checkbox", id: `layer-${id}`, checked: true, onchange: () => setVisible(id, box.checked) });
    const head = element("div", { class: "layer-head" },
      box,
      element("label", { for: `layer-${id}` }, MARKS[id] ? swatch(...MARKS[id]) : null, collection?.title ?? config.collections[id]?.title ?? id),
      element("span", { class: "count", "data-count": id }, collection ? number(collection.count) : "–"));
    const item = element("li", { class: "layer" }, head);
    if (LEGENDS[id]) {
      const fold = element("details", { open: id === "buildings" && window.innerWidth > 760 }, element("summary", {}, t("layers.legend")));
      legend(id).then((list) => fold.append(list)).catch(() => fold.remove());
      item.append(fold);
    }
    return item;
  }));
}
