// Two areas or two dates side by side: two maps that move as one where the place is the same, and one table of both.
import { keyOf } from "./answer.js";
import { areaPicker, nameOfCode } from "./areas.js";
import { codesOf } from "./fields.js";
import { colourOf, drawnIds } from "./layers.js";
import { MapView } from "./map.js";
import { byId, element, isNarrow, number, say, t } from "./page.js";
import { frame } from "./place.js";
import { isDay, outlineOf, placeName } from "./question.js";
import { collectionOf } from "./registry.js";
import { theView, whenDrawn } from "./stage.js";
import { change, current, whenever } from "./state.js";
import { figuresOf, groupKeys, statisticsOf, written } from "./statistics.js";

/** The other side's state, or null where nothing is compared. */
export function otherOf(state) {
  const [, kind, value] = /^(area|date):(.+)$/.exec(state.vs) ?? [];
  if (kind === "area") return { ...state, place: `area:${value}`, vs: "" };
  if (kind === "date" && isDay(value)) return { ...state, date: value, vs: "" };
  return null;
}

const isSamePlace = (state) => state.vs.startsWith("date:");
const dateName = ({ date }) => date || t("time.now");

/** How each side is called. */
async function names(state, other) {
  if (isSamePlace(state)) return [dateName(state), dateName(other)];
  return Promise.all([placeName(state.place), placeName(other.place)]);
}

const difference = (one, two) => (one === undefined || one === null || two === undefined || two === null ? null : two - one);
const signed = (value, digits) => (value === null ? "–" : `${value > 0 ? "+" : ""}${number(value, digits)}`);
const percent = (one, two) => (one > 0 && two !== null && two !== undefined ? `${two >= one ? "+" : ""}${number((100 * (two - one)) / one, 1, 1)}%` : "–");

function bothTable(state, [nameA, nameB], [a, b], title) {
  const figuresA = figuresOf(state.about, a.total, a.properties);
  const figuresB = figuresOf(state.about, b.total, b.properties);
  const cell = (figure) => written(figure).filter(Boolean).join(" ");
  const row = (label, one, two, name) => element("tr", { "data-compare": name },
    element("th", { scope: "row" }, label), element("td", { "data-value": one.value }, cell(one)), element("td", { "data-value": two.value }, cell(two)),
    element("td", { title: signed(difference(one.value, two.value), one.digits) }, percent(one.value, two.value)));
  const codes = codesOf(a.properties[a.key]);
  const count = (found) => new Map(found.groups.map((group) => [group.group[a.key], group.count]));
  const [countsA, countsB] = [count(a), count(b)];
  const keys = [...new Set([...countsA.keys(), ...countsB.keys()])].sort((x, y) => (countsA.get(y) ?? 0) - (countsA.get(x) ?? 0)).slice(0, 30);
  return element("table", { class: "numbers is-compare" },
    element("caption", {}, t("vs.caption")),
    element("thead", {}, element("tr", {}, element("td", {}), element("th", { scope: "col" }, element("b", { class: "side" }, "A"), ` ${nameA}`),
      element("th", { scope: "col" }, element("b", { class: "side" }, "B"), ` ${nameB}`), element("th", { scope: "col" }, t("vs.change")))),
    element("tbody", {}, ...figuresA.map((figure, i) => row(figure.title, figure, figuresB[i], figure.name))),
    ...(a.key ? [element("tbody", {}, element("tr", {}, element("th", { scope: "rowgroup", colspan: "4", class: "is-group" }, title)),
      ...keys.map((key) => row(key == null ? t("use.unknown") : codes.get(key) ?? nameOfCode(key) ?? String(key), { value: countsA.get(key) ?? 0 }, { value: countsB.get(key) ?? 0 }, String(key))))] : []));
}

/** Moves two maps as one. */
function couple(one, two) {
  let isLed = false;
  const follow = (from, to) => () => {
    if (isLed) return;
    isLed = true;
    to.jumpTo({ center: from.getCenter(), zoom: from.getZoom(), bearing: from.getBearing(), pitch: from.getPitch() });
    isLed = false;
  };
  const links = [[one, follow(one, two)], [two, follow(two, one)]];
  for (const [map, listener] of links) map.on("move", listener);
  return () => { for (const [map, listener] of links) map.off("move", listener); };
}

/** Compares by the state's `vs`. */
export function wireCompare() {
  let second = null;
  let making = null;
  let uncouple = () => {};
  let running = null;

  const close = () => {
    document.body.classList.remove("is-split");
    uncouple();
    second?.remove();
    [second, making] = [null, null];
    byId("map-b").replaceChildren();
    theView()?.map.resize();
  };
  const showMaps = async (state, other, [nameA, nameB]) => {
    const view = theView();
    if (!view) return;
    const wasSplit = document.body.classList.contains("is-split");
    document.body.classList.add("is-split");
    byId("side-a").textContent = `A ${nameA}`;
    byId("side-b").textContent = `B ${nameB}`;
    if (!wasSplit) view.map.resize();
    making ??= MapView.make(byId("map-b"), { center: view.map.getCenter(), zoom: view.map.getZoom(), bearing: view.map.getBearing(), pitch: view.map.getPitch() }, t("vs.map-b"));
    const made = await making;
    if (otherOf(current()) === null) return;
    second = made;
    window.cim.second = made.map;
    uncouple();
    second.setVisible(drawnIds(state));
    second.setColour(colourOf(state));
    second.setConditions(other);
    const [outlineA, outlineB] = await Promise.all([outlineOf(state.place), outlineOf(other.place)]);
    second.setPlace(outlineB);
    if (isSamePlace(state)) {
      second.map.jumpTo({ center: view.map.getCenter(), zoom: view.map.getZoom(), bearing: view.map.getBearing(), pitch: view.map.getPitch() });
      uncouple = couple(view.map, second.map);
      if (outlineA && !wasSplit) frame(view.map, outlineA, { whole: true });
    } else {
      if (outlineA) frame(view.map, outlineA, { whole: true });
      frame(second.map, outlineB, { whole: true, pitch: view.map.getPitch() });
    }
  };
  const show = async (state) => {
    const other = otherOf(state);
    const place = byId("compare-answer");
    running?.abort();
    byId("compare-end").hidden = !other;
    if (!other) {
      place.replaceChildren();
      if (document.body.classList.contains("is-split")) close();
      return;
    }
    const asked = new AbortController();
    running = asked;
    byId("compare").open = true;
    place.setAttribute("aria-busy", "true");
    try {
      const keys = await groupKeys(state.about);
      const key = keyOf(state, keys);
      const [titles, a, b] = await Promise.all([names(state, other), statisticsOf(state, key, asked.signal), statisticsOf(other, key, asked.signal)]);
      if (running !== asked) return;
      place.replaceChildren(bothTable(state, titles, [a, b], keys.find(([one]) => one === key)?.[1] ?? ""));
      if (isNarrow()) place.scrollIntoView({ block: "start" });
      await showMaps(state, other, titles);
    } catch (error) {
      if (error.name !== "AbortError") place.replaceChildren(element("p", { class: "is-error", role: "alert" }, error.message));
    } finally {
      if (running === asked) place.removeAttribute("aria-busy");
    }
  };

  const date = byId("compare-date");
  // what has gone since is out of sight on both sides: the first one gets its day, too
  date.addEventListener("change", () => isDay(date.value) && change({ vs: `date:${date.value}`, date: current().date || new Date().toISOString().slice(0, 10) }));
  byId("compare-end").addEventListener("click", () => change({ vs: "" }));
  if (collectionOf("areas")) {
    areaPicker(byId("compare-areas"), (code) => code && change({ vs: `area:${code}` }), "compare")
      .then((picker) => {
        const follow = ({ vs }) => {
          date.value = vs.startsWith("date:") ? vs.slice(5) : "";
          if (vs.startsWith("area:")) picker.show(vs.slice(5));
          else picker.reset();
        };
        whenever(["vs"], follow);
        follow(current());
      }).catch((error) => say(error.message, { isError: true }));
  } else byId("compare-areas-box").hidden = true;
  whenever(["vs", "about", "place", "filter", "by", "date", "known"], (state, changed) => (state.vs || changed.includes("vs")) && show(state));
  whenever(["on", "colour"], (state) => {
    second?.setVisible(drawnIds(state));
    second?.setColour(colourOf(state));
  });
  if (current().vs) show(current());
  whenDrawn(() => current().vs && show(current()));
}
