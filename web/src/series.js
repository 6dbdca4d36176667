// Values of a sensor over time, and pictures: a camera's still or a scene's quick look where this node serves one.
import { chart } from "./chart.js";
import { config, element, number, t } from "./page.js";

const HOUR_S = 3600;
const PICTURE = /^image\/(png|jpeg|webp|gif)/;

/** The latest value and the hours before it; nothing where the record has no value. */
export async function seriesOf(collection, { properties }) {
  const { latest_result: value, latest_time: time, recent_results: recent, unit_of_measurement: unit, observed_property: what } = properties;
  if (value === null || value === undefined) return null;
  const when = time ? new Date(time).toLocaleString(config.lang, { dateStyle: "medium", timeStyle: "short" }) : "";
  const latest = element("p", { class: "latest" }, element("strong", {}, number(value, 2)), ` ${unit ?? ""} `, element("small", {}, when));
  if (!time || !Array.isArray(recent) || recent.length < 2 || !recent.every((one) => typeof one === "number")) return latest;
  const end = Math.floor(Date.parse(time) / 1000);
  const xs = recent.map((_, i) => end - (recent.length - 1 - i) * HOUR_S);
  const title = [what, unit && `(${unit})`].filter(Boolean).join(" ") || t("record.series");
  const writeX = (x) => new Date(x * 1000).toLocaleString(config.lang, { month: "numeric", day: "numeric", hour: "2-digit", minute: "2-digit" });
  return [latest, await chart({ name: "series", title, head: [t("chart.time"), title], xs, ys: recent, isTime: true, writeX, digits: 2 })];
}

const own = (href) => {
  const url = new URL(href, document.baseURI);
  return url.origin === location.origin && /^https?:/.test(url.protocol) ? url.href : null;
};

/** A picture from this very node: the page asks no other host for anything. Null where there is none. */
export function pictureOf({ properties }) {
  const assets = Object.values(properties.assets ?? {}).filter((one) => PICTURE.test(one?.type ?? "") && /^(https?:|\/)/.test(one.href ?? ""));
  const best = assets.find((one) => one.roles?.some((role) => role === "thumbnail" || role === "overview")) ?? assets[0];
  const source = [best?.href, properties.image_url].filter(Boolean).map(own).find(Boolean);
  if (!source) return null;
  const image = element("img", { src: source, alt: t("record.picture"), loading: "lazy", class: "quick-look" });
  image.addEventListener("error", () => image.remove());
  return image;
}
