// Where: draw, take the view, pick on the map, paste, or choose city → district → street → community.
import { firstFeatures } from "./api.js";
import { areaPicker } from "./areas.js";
import { Sketch } from "./draw.js";
import { byId, isNarrow, say, t } from "./page.js";
import { outlineOf, placeOf, placeText } from "./question.js";
import { collectionOf } from "./registry.js";
import { boundsOf } from "./shapes.js";
import { theView, whenDrawn } from "./stage.js";
import { change, current, whenever } from "./state.js";
import { BadPlace, placeOfText } from "./wkt.js";

let picks = false;
let isDrawing = () => false;
/** True while clicks on the map belong to a tool. */
export const isBusy = () => picks || isDrawing();

/** Moves a map over `geometry`, beside the panels. */
export function frame(map, geometry, { right = 80, pitch = map?.getPitch(), whole = false } = {}) {
  const bounds = boundsOf(geometry);
  if (!bounds || !map) return;
  const beside = isNarrow() ? { top: 70, bottom: window.innerHeight * 0.5, left: 30, right: 30 } : { top: 90, bottom: 70, left: 420, right };
  const padding = whole ? 40 : beside;
  map.fitBounds(bounds, { padding, maxZoom: 17.5, pitch, bearing: map.getBearing() });
}

const LEVEL_AT = [[14.5, "community"], [12.5, "street"], [10.5, "district"], [0, "city"]];

/** Asks about the area under a click: the smaller, the nearer one looks. */
async function pickArea(map, { lng, lat }) {
  const level = LEVEL_AT.find(([zoom]) => map.getZoom() >= zoom)[1];
  try {
    const found = await firstFeatures("areas", { intersects: `${lng.toFixed(7)},${lat.toFixed(7)}`, limit: 10, skipGeometry: true });
    const sizes = ["city", "district", "street", "community"];
    const rank = ({ properties }) => sizes.indexOf(properties.level);
    const fit = found.filter((area) => rank(area) <= sizes.indexOf(level)).sort((a, b) => rank(b) - rank(a))[0];
    if (!fit) return say(t("pick.nothing"), { isError: true });
    return change({ place: `area:${fit.properties.code}` });
  } catch (error) {
    return say(error.message, { isError: true });
  }
}

function wirePaste() {
  const form = byId("paste-form");
  const text = byId("paste-text");
  const error = byId("paste-error");
  byId("paste").addEventListener("click", () => {
    form.hidden = !form.hidden;
    byId("paste").setAttribute("aria-expanded", String(!form.hidden));
    if (!form.hidden) text.focus();
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    try {
      change({ place: placeText(placeOfText(text.value)) });
      error.textContent = "";
      text.removeAttribute("aria-invalid");
    } catch (problem) {
      if (!(problem instanceof BadPlace)) throw problem;
      error.textContent = t(problem.key);
      text.setAttribute("aria-invalid", "true");
      text.focus();
    }
  });
}

function setPicking(map, isOn) {
  picks = isOn;
  byId("pick").setAttribute("aria-pressed", String(isOn));
  map.getCanvas().classList.toggle("is-drawing", isOn);
  if (isOn) {
    document.body.classList.add("shows-map");
    say(t("pick.help"), { stays: true });
  } else say("");
}

/** The tools on the map, once it is there. */
function wireDrawing({ map }) {
  const sketch = new Sketch(map, (geometry) => change({ place: placeText(geometry), tab: "ask" }), () => {
    for (const kind of ["polygon", "rectangle"]) byId(`draw-${kind}`).setAttribute("aria-pressed", String(sketch.kind === kind));
  });
  isDrawing = () => sketch.isActive;
  for (const id of ["draw-polygon", "draw-rectangle", "ask-view"]) byId(id).disabled = false;
  byId("pick").disabled = !collectionOf("areas");
  for (const kind of ["polygon", "rectangle"]) {
    byId(`draw-${kind}`).addEventListener("click", () => {
      if (sketch.kind === kind) return sketch.cancel();
      setPicking(map, false);
      change({ place: "" });
      document.body.classList.add("shows-map"); // on a phone the panel makes room
      return sketch.start(kind);
    });
  }
  byId("ask-view").addEventListener("click", () => {
    const box = map.getBounds();
    change({ place: `bbox:${[box.getWest(), box.getSouth(), box.getEast(), box.getNorth()].map((value) => Number(value.toFixed(6))).join(",")}` });
  });
  byId("pick").addEventListener("click", () => setPicking(map, !picks));
  document.addEventListener("keydown", (event) => event.key === "Escape" && picks && setPicking(map, false));
  map.on("click", ({ lngLat }) => {
    if (!picks || sketch.isActive) return;
    pickArea(map, lngLat);
    setTimeout(() => setPicking(map, false), 0); // the click is still the tool's for those who hear of it next
  });
}

/** The ways to say where. */
export function wirePlace() {
  for (const id of ["draw-polygon", "draw-rectangle", "ask-view", "pick"]) byId(id).disabled = true;
  whenDrawn(wireDrawing);
  wirePaste();
  byId("clear").addEventListener("click", () => change({ place: "", filter: "", rows: "", vs: "" }));
  followPlace();
}

/** Keeps selects and outline on the place of the state. */
function followPlace() {
  let picker = null;
  whenDrawn(async (view) => view.setPlace(await outlineOf(current().place).catch(() => null)));
  const show = async (state, changed) => {
    byId("clear").hidden = !(state.place || state.filter);
    const where = placeOf(state.place);
    if (where?.kind === "area") await picker?.show(where.value);
    else picker?.reset();
    if (!changed?.includes("place") && changed) return;
    try {
      const outline = await outlineOf(state.place);
      if (state.place !== current().place) return;
      theView()?.setPlace(outline);
      const moves = changed && outline && where.kind !== "bbox" && !changed.includes("map") && !document.body.classList.contains("is-split");
      if (moves) frame(theView()?.map, outline);
    } catch (error) {
      say(error instanceof BadPlace ? t(error.key) : error.message, { isError: true });
    }
  };
  whenever(["place", "filter"], show);
  const start = () => show(current(), null);
  if (!collectionOf("areas")) {
    byId("area-choice").hidden = true;
    start();
    return;
  }
  areaPicker(byId("area-picker"), (code) => change({ place: code ? `area:${code}` : "" })).then((made) => {
    picker = made;
    return start();
  }).catch((error) => say(error.message, { isError: true }));
}
