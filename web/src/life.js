// The life of a thing: its stages in order, and the versions of its record.
import { getJson } from "./api.js";
import { config, element, t } from "./page.js";
import { change, current } from "./state.js";

const STAGES = ["planned_on", "approved_on", "construction_started_on", "completed_on", "installed_on", "demolished_on", "removed_on"];

/** Stages that have a date, as a list; null where there is none. */
export function lifeOf(collection, { properties }, titles) {
  const stages = STAGES.filter((name) => properties[name]);
  if (!stages.length) return null;
  const shown = current().date;
  return element("ol", { class: "life", "aria-label": t("record.life") }, ...stages.map((name) =>
    element("li", { class: shown && properties[name] > shown ? "is-later" : null },
      element("span", {}, titles[name]?.title ?? name),
      element("button", { type: "button", class: "link", title: t("life.show"), onclick: () => change({ date: properties[name] }) }, element("time", { datetime: properties[name] }, properties[name])))));
}

/** Versions of the record, the newest first, each to be looked at as it was known then; nothing for a record of one version. */
export async function historyOf(path) {
  const { versions } = await getJson(`${path}/history`);
  if (versions.length < 2) return null;
  const when = (instant) => new Date(instant).toLocaleString(config.lang, { dateStyle: "medium", timeStyle: "short" });
  return element("ol", { class: "versions" }, ...versions.slice(0, 20).map((version) => element("li", {},
    element("button", { type: "button", class: "link", onclick: () => change({ known: version.recordedAt }) }, when(version.recordedAt)),
    version.supersededAt ? ` – ${when(version.supersededAt)}` : ` ${t("history.current")}`)));
}
