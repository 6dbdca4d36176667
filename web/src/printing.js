// Paper and PDF: the map as it is now, with scale, north, legend, date, source, numbers and charts, laid out by the print style.
import { legendOf, colourOf, drawnIds } from "./layers.js";
import { byId, config, element, number, t } from "./page.js";
import { titleOf } from "./registry.js";
import { theView } from "./stage.js";
import { current, permalink, whenever } from "./state.js";
import { timeText } from "./time.js";

/** The map's picture: drawn and read in one task, while the drawing buffer still holds it. */
function pictureOf(map) {
  map.redraw();
  return map.getCanvas().toDataURL("image/png");
}

/** A round number of metres and its share of the picture's width, in the middle of the map. */
export function scaleOf(map) {
  const { clientWidth: width, clientHeight: height } = map.getCanvas();
  const [a, b] = [map.unproject([width / 2 - 50, height / 2]), map.unproject([width / 2 + 50, height / 2])];
  const metres = a.distanceTo(b) * (width / 100) * 0.25;
  const power = 10 ** Math.floor(Math.log10(metres));
  const round = [5, 2, 1].find((step) => step * power <= metres) * power;
  return { metres: round, share: (round / metres) * 0.25 };
}

function scaleBar(map) {
  const { metres, share } = scaleOf(map);
  const bar = element("span", { class: "print-scale" }, metres >= 1000 ? `${number(metres / 1000, 1)} km` : `${number(metres)} m`);
  bar.style.width = `${share * 100}%`;
  return bar;
}

function north(map) {
  const arrow = element("span", { class: "print-north" }, "↑", element("small", {}, t("print.north")));
  arrow.style.transform = `rotate(${-map.getBearing()}deg)`;
  return arrow;
}

const onPaper = (map, label) => element("div", { class: "print-map" }, label ? element("p", { class: "print-side" }, label) : null,
  element("img", { src: pictureOf(map), alt: t("map.label") }), scaleBar(map), north(map));

/** Copies of nodes; what is drawn on canvases becomes pictures. */
function copy(node) {
  const made = node.cloneNode(true);
  const canvases = [...node.querySelectorAll("canvas")];
  [...made.querySelectorAll("canvas")].forEach((one, i) => one.replaceWith(element("img", { src: canvases[i].toDataURL(), alt: "" })));
  for (const one of made.querySelectorAll("select, button, details, .field")) one.remove();
  for (const one of made.querySelectorAll("[id]")) one.removeAttribute("id");
  return made;
}

const legends = new Map();
async function readLegends(state) {
  for (const id of drawnIds(state)) legends.set(id, await legendOf(id, colourOf(state)).catch(() => []));
}

/** Writes the sheet for the state. */
function layOut() {
  const view = theView();
  const state = current();
  const sheet = byId("print");
  const answer = byId("answer");
  const isSplit = document.body.classList.contains("is-split") && window.cim.second;
  const title = answer.hidden ? t("title") : answer.querySelector("h3")?.textContent ?? t("title");
  const shown = drawnIds(state).map((id) => element("div", { class: "print-legend" }, element("h3", {}, titleOf(id)),
    element("ul", { class: "legend" }, ...(legends.get(id) ?? []).map((one) => one.cloneNode(true)))));
  sheet.replaceChildren(
    element("header", {}, element("h1", {}, title), element("p", {}, [titleOf(state.about), timeText(state), state.filter].filter(Boolean).join(" · "))),
    ...(view ? [element("div", { class: "print-maps" }, onPaper(view.map, isSplit ? byId("side-a").textContent : null),
      ...(isSplit ? [onPaper(window.cim.second, byId("side-b").textContent)] : []))] : []),
    element("div", { class: "print-legends" }, ...shown),
    ...(byId("compare-answer").children.length ? [copy(byId("compare-answer"))] : []),
    ...(answer.hidden ? [] : [copy(answer)]),
    element("footer", {}, t("print.foot", { date: new Date().toLocaleDateString(config.lang, { dateStyle: "long" }), source: config.publicUrl }), element("br"), permalink()));
}

/** The print button, and the browser's own print command. */
export function wirePrint() {
  window.addEventListener("beforeprint", layOut);
  window.addEventListener("afterprint", () => byId("print").replaceChildren());
  // the browser's own command leaves no time to ask: legends are read when the layers change
  whenever(["on", "colour"], readLegends);
  (window.requestIdleCallback ?? setTimeout)(() => readLegends(current()));
  byId("print-button").addEventListener("click", async () => {
    await readLegends(current());
    window.print();
  });
}
