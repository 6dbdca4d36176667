// The record of one feature: every property under its title, and links to the same record elsewhere.
import { address, getJson, schemaOf } from "./api.js";
import { byId, config, element, number, say, t } from "./page.js";

/** Titles of codes, value → title, whichever way the schema tells them (oneOf of const and title). */
export function codesOf(property) {
  return new Map((property?.oneOf ?? property?.anyOf ?? []).filter((one) => "const" in one).map((one) => [one.const, one.title ?? one.const]));
}

const UNITS = { m: "m", m2: "m²", deg: "°", "%": "%" };
const YEARS = new Set(["year_built"]);

/** What a reader sees of `value`: text, a link, or a folded document. */
function shown(name, value, property) {
  if (value === null || value === undefined || value === "") return element("span", { class: "is-faint" }, "–");
  const title = codesOf(property).get(value);
  if (title !== undefined) return title;
  if (typeof value === "boolean") return t(value ? "yes" : "no");
  const unit = UNITS[property?.["x-ogc-unit"] ?? property?.["x-unit"] ?? property?.unit] ?? "";
  if (typeof value === "number") return (YEARS.has(name) ? String(value) : number(value, 2)) + (unit && ` ${unit}`);
  if (typeof value === "object") {
    return element("details", {}, element("summary", {}, t("record.unfold")), element("pre", {}, JSON.stringify(value, null, 1)));
  }
  if (/^\d{4}-\d\d-\d\dT/.test(value)) {
    return new Date(value).toLocaleString(config.lang, { dateStyle: "medium", timeStyle: "short" });
  }
  if (/^https?:\/\/\S+$/.test(value)) return element("a", { href: value, rel: "noopener noreferrer nofollow", target: "_blank" }, value);
  return String(value);
}

/** The panel beside the map. `onSelect` hears of the record shown (collection, id, geometry), or null when it is closed. */
export class RecordPanel {
  constructor(onSelect) {
    this.onSelect = onSelect;
    this.place = byId("record");
    byId("record-close").addEventListener("click", () => this.close());
    this.place.addEventListener("keydown", (event) => event.key === "Escape" && this.close());
  }

  close() {
    if (this.place.hidden) return;
    this.place.hidden = true;
    this.onSelect(null);
    (this.opener?.isConnected ? this.opener : document.querySelector(".maplibregl-canvas"))?.focus();
  }

  /** Shows the record `id` of `collection` and gives its feature, or null where it could not be had. */
  async open(collection, id, { opener = null } = {}) {
    const path = `collections/${encodeURIComponent(collection)}/items/${encodeURIComponent(id)}`;
    this.opener = opener;
    this.asked = path;
    try {
      const [feature, schema] = await Promise.all([getJson(path), schemaOf(collection)]);
      if (this.asked !== path) return null; // another one was opened meanwhile
      this.show(collection, path, feature, schema.properties ?? {});
      this.onSelect({ collection, id, geometry: feature.geometry });
      return feature;
    } catch (error) {
      say(error.message, { isError: true });
      return null;
    }
  }

  show(collection, path, feature, titles) {
    const properties = feature.properties ?? {};
    const listed = Object.keys(titles).filter((name) => name in properties);
    const others = Object.keys(properties).filter((name) => !(name in titles));
    const rows = [...listed, ...others].map((name) => {
      const value = properties[name];
      const isEmpty = value === null || value === "";
      return element("div", { class: isEmpty ? "row is-empty" : "row" },
        element("dt", { title: name }, titles[name]?.title ?? name),
        element("dd", {}, shown(name, value, titles[name])));
    });
    const name = (config.lang === "en" && properties.name_en) || properties.name || properties.title;
    byId("record-kind").textContent = config.collections[collection]?.title ?? collection;
    byId("record-title").textContent = name || feature.id;
    const facts = byId("record-facts");
    facts.replaceChildren(element("div", { class: "row" }, element("dt", {}, "id"), element("dd", { class: "is-code" }, String(feature.id))), ...rows);
    const empty = rows.filter((row) => row.classList.contains("is-empty")).length;
    facts.classList.add("hides-empty");
    byId("record-empty").replaceChildren(...(empty
      ? [element("button", { type: "button", class: "link", onclick: (event) => {
          facts.classList.remove("hides-empty");
          event.target.remove();
        } }, t("record.empty", { count: empty }))]
      : []));
    byId("record-links").replaceChildren(
      element("a", { href: address(path, { f: "json" }).href }, "GeoJSON"),
      element("a", { href: address(path, { f: "html" }).href }, t("record.page")));
    this.place.hidden = false;
    byId("record-body").scrollTop = 0;
    this.place.focus({ preventScroll: true });
  }
}
