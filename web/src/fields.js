// What the schema tells about a property, and its value as a reader sees it.
import { config, element, number, t } from "./page.js";

/** Titles of codes, value → title, whichever way the schema tells them (oneOf of const and title). */
export function codesOf(property) {
  return new Map((property?.oneOf ?? property?.anyOf ?? []).filter((one) => "const" in one).map((one) => [one.const, one.title ?? one.const]));
}

const UNITS = { m: "m", m2: "m²", deg: "°", "%": "%" };
const PLAIN = new Set(["year_built"]);

export const unitOf = (property) => UNITS[property?.["x-ogc-unit"]] ?? property?.["x-ogc-unit"] ?? "";
const typesOf = (property) => [property?.type ?? []].flat();
export const isNumber = (property) => typesOf(property).some((type) => type === "number" || type === "integer") && typesOf(property).length <= 2;
export const isTime = (property) => property?.format === "date" || property?.format === "date-time";
export const isDocument = (property) => typesOf(property).includes("object") || typesOf(property).includes("array");
export const isText = (property) => typesOf(property).includes("string") && !isTime(property) && !isDocument(property);

/** One line of text of a value; a dash for nothing. */
export function textOf(name, value, property) {
  if (value === null || value === undefined || value === "") return "–";
  const title = codesOf(property).get(value);
  if (title !== undefined) return title;
  if (typeof value === "boolean") return t(value ? "yes" : "no");
  if (typeof value === "number") return PLAIN.has(name) ? String(value) : number(value, 2);
  if (typeof value === "object") return JSON.stringify(value);
  if (/^\d{4}-\d\d-\d\dT/.test(value)) {
    // valid times of dates are midnights in UTC
    if (/T00:00:00(\+00:00|Z)$/.test(value)) return value.slice(0, 10);
    return new Date(value).toLocaleString(config.lang, { dateStyle: "medium", timeStyle: "short" });
  }
  return String(value);
}

/** What a record shows: text with its unit, a link, or a folded document. */
export function shown(name, value, property) {
  if (value === null || value === undefined || value === "") return element("span", { class: "is-faint" }, "–");
  if (typeof value === "object") {
    return element("details", {}, element("summary", {}, t("record.unfold")), element("pre", { tabindex: "0" }, JSON.stringify(value, null, 1)));
  }
  if (/^https?:\/\/\S+$/.test(value)) return element("a", { href: value, rel: "noopener noreferrer nofollow", target: "_blank" }, value);
  const unit = typeof value === "number" ? unitOf(property) : "";
  return textOf(name, value, property) + (unit && ` ${unit}`);
}
