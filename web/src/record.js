// The record of one feature, at an address of its own: what it is, its life, what is in and around it, services about it.
import { address, getJson, schemaOf } from "./api.js";
import { nameOf } from "./areas.js";
import { aroundOf, servicesAbout } from "./around.js";
import { shown } from "./fields.js";
import { historyOf, lifeOf } from "./life.js";
import { byId, copyButton, element, say, t } from "./page.js";
import { planOf } from "./plan.js";
import { titleOf } from "./registry.js";
import { pictureOf, seriesOf } from "./series.js";
import { change, current, permalink, whenever } from "./state.js";

const SERIES = new Set(["recent_results"]);

function rowsOf(feature, titles) {
  const properties = feature.properties ?? {};
  const listed = Object.keys(titles).filter((name) => name in properties);
  const others = Object.keys(properties).filter((name) => !(name in titles));
  return [...listed, ...others].filter((name) => !SERIES.has(name) && name !== "area").map((name) => {
    const value = properties[name];
    const isEmpty = value === null || value === "";
    return element("div", { class: isEmpty ? "row is-empty" : "row" },
      element("dt", { title: name }, titles[name]?.title ?? name),
      element("dd", {}, shown(name, value, titles[name])));
  });
}

/** A part of the record that is asked for by itself: a heading that stays away while there is nothing under it. */
function part(key, title, asked) {
  const place = element("section", { class: "record-part", "data-part": key, hidden: true }, element("h3", {}, title));
  asked.then((content) => {
    const parts = [content].flat().filter(Boolean);
    place.append(...parts);
    place.hidden = !parts.length;
  }).catch((error) => {
    if (error.status === 403 || error.status === 401) return;
    place.append(element("p", { class: "is-error" }, error.message));
    place.hidden = false;
  });
  return place;
}

/** The panel beside the map. `onSelect` hears of the record shown (collection, id, geometry) or null, and whether to go there. */
export class RecordPanel {
  constructor(onSelect) {
    this.onSelect = onSelect;
    this.place = byId("record");
    byId("record-close").addEventListener("click", () => change({ record: "" }));
    this.place.addEventListener("keydown", (event) => event.key === "Escape" && change({ record: "" }));
    whenever(["record"], (state) => this.follow(state, true));
    whenever(["known"], (state) => state.record && this.follow(state, false));
    if (current().record) this.follow(current(), true);
  }

  follow({ record }, moves) {
    if (!record) return this.close();
    const slash = record.indexOf("/");
    return this.open(record.slice(0, slash), record.slice(slash + 1), moves);
  }

  close() {
    this.asked = null;
    this.chosen = null;
    if (this.place.hidden) return;
    this.place.hidden = true;
    this.onSelect(null);
    (this.opener?.isConnected ? this.opener : document.querySelector(".maplibregl-canvas"))?.focus({ preventScroll: true });
  }

  async open(collection, id, moves) {
    const path = `collections/${encodeURIComponent(collection)}/items/${encodeURIComponent(id)}`;
    if (!this.place.contains(document.activeElement)) this.opener = document.activeElement;
    this.asked = path;
    const { known } = current();
    try {
      const [feature, schema] = await Promise.all([getJson(path, { areas: "true", ...(known ? { "known-at": known } : {}) }), schemaOf(collection)]);
      if (this.asked !== path) return; // another one was opened meanwhile
      this.show(collection, path, feature, schema.properties ?? {});
      this.chosen = { collection, id, geometry: feature.geometry };
      this.onSelect(this.chosen, moves);
    } catch (error) {
      if (this.asked !== path) return;
      say(error.message, { isError: true });
      if (error.status === 404) change({ record: "" }, { isStep: false });
    }
  }

  show(collection, path, feature, titles) {
    const properties = feature.properties ?? {};
    byId("record-kind").textContent = titleOf(collection);
    byId("record-title").textContent = nameOf({ properties: { ...properties, code: properties.title ?? feature.id } });
    byId("record-where").textContent = properties.area ? ["city", "district", "street", "community"].map((level) => properties.area[level]).filter(Boolean).join(" · ") : "";
    const rows = rowsOf(feature, titles);
    const facts = byId("record-facts");
    facts.replaceChildren(element("div", { class: "row" }, element("dt", {}, "id"), element("dd", { class: "is-code" }, String(feature.id))), ...rows);
    facts.classList.add("hides-empty");
    const empty = rows.filter((row) => row.classList.contains("is-empty")).length;
    byId("record-empty").replaceChildren(...(empty
      ? [element("button", { type: "button", class: "link", onclick: (event) => {
          facts.classList.remove("hides-empty");
          facts.querySelector(".is-empty dd").tabIndex = -1;
          facts.querySelector(".is-empty dd").focus();
          event.currentTarget.remove();
        } }, t("record.empty", { count: empty }))]
      : []));
    byId("record-top").replaceChildren(...[planOf(feature), lifeOf(collection, feature, titles), pictureOf(feature),
      part("series", t("record.series"), seriesOf(collection, feature))].filter(Boolean));
    byId("record-parts").replaceChildren(
      part("around", t("record.around"), aroundOf(collection, feature)),
      part("services", t("record.services"), servicesAbout(collection, feature)),
      part("history", t("record.history"), historyOf(path)));
    const isPlace = /Polygon$/.test(feature.geometry?.type ?? "");
    byId("record-links").replaceChildren(
      ...(isPlace ? [element("button", { type: "button", class: "button is-small", onclick: () =>
        change({ place: collection === "areas" ? `area:${properties.code}` : `feature:${collection}/${feature.id}`, about: collection === current().about ? current().about : "buildings", tab: "ask" }) }, t("record.ask"))] : []),
      copyButton(permalink, t("copy.link")),
      element("a", { href: address(path, { f: "json" }).href }, "GeoJSON"),
      element("a", { href: address(path, { f: "html" }).href }, t("record.page")));
    this.place.hidden = false;
    byId("record-body").scrollTop = 0;
    this.place.focus({ preventScroll: true });
  }
}
