// Getting it out: any format the collection offers. Short texts stream; files are made by a job with progress and cancel.
import { Problem, address, changeHeaders, getJson } from "./api.js";
import { byId, element, number, say, t } from "./page.js";
import { bodyOf, parametersOf } from "./question.js";
import { collectionOf } from "./registry.js";
import { current, whenever } from "./state.js";

const STREAMED = new Set(["csv", "json", "jsonfg", "geojsonl"]);
const NAMES = { csv: "CSV", xlsx: "Excel (XLSX)", json: "GeoJSON", geojsonl: "GeoJSON Lines", jsonfg: "JSON-FG", gpkg: "GeoPackage", shp: "Shapefile", fgb: "FlatGeobuf", parquet: "GeoParquet" };
const LONGEST_ADDRESS = 6000;
const LOOK_MS = 700;

function download(href) {
  const link = element("a", { href, download: "", hidden: true });
  document.body.append(link);
  link.click();
  link.remove();
}

/** The job's address beside this page, whatever host the server calls itself. */
const idOf = (location) => location.split("/").pop();

class Job {
  constructor(label) {
    this.bar = element("progress", { max: "100", "aria-label": label });
    this.line = element("span", { class: "job-text" }, t("export.queued"));
    this.cancel = element("button", { type: "button", class: "button is-small" }, t("export.cancel"));
    this.row = element("li", { class: "job" }, element("span", { class: "job-name" }, label), this.bar, this.line, this.cancel);
    byId("export-jobs").prepend(this.row);
    this.cancel.addEventListener("click", () => this.stop());
  }

  async start(path, body) {
    const response = await fetch(address(path), { method: "POST", body: JSON.stringify(body), headers: { "Content-Type": "application/json", Prefer: "respond-async", ...await changeHeaders() } });
    const document = await response.json().catch(() => ({}));
    if (!response.ok) throw new Problem(document, response.status);
    this.id = idOf(response.headers.get("Location") ?? document.id);
    return this.watch(document);
  }

  async watch(document) {
    while (!this.isStopped) {
      if (["completed", "failed", "cancelled"].includes(document.state)) return this.end(document);
      if (document.progress !== null) this.bar.value = document.progress;
      else this.bar.removeAttribute("value");
      this.line.textContent = document.total ? t("export.rows", { done: number(document.done), total: number(document.total) }) : t("export.queued");
      await new Promise((resolve) => { setTimeout(resolve, LOOK_MS); });
      document = await getJson(`exports/${this.id}`);
    }
    return undefined;
  }

  end({ state, bytes, error }) {
    this.bar.remove();
    this.cancel.remove();
    if (state !== "completed") {
      this.line.textContent = error?.detail ?? t("export.failed");
      this.line.classList.add("is-error");
      return;
    }
    const href = address(`exports/${this.id}/download`).href;
    this.line.replaceChildren(element("a", { href, download: "" }, t("export.fetch", { size: number(bytes / 1e6, bytes < 1e5 ? 2 : 1) })));
    say(t("export.ready"));
    download(href);
  }

  async stop() {
    this.isStopped = true;
    this.cancel.remove();
    this.bar.remove();
    this.line.textContent = t("export.cancelled");
    if (this.id) await fetch(address(`exports/${this.id}`), { method: "DELETE", headers: await changeHeaders() }).catch(() => {});
  }

  fail(error) {
    if (!this.isStopped) this.end({ state: "failed", error: { detail: error.message } });
  }
}

export function wireExport() {
  const format = byId("export-format");
  const follow = ({ about }) => {
    const offered = collectionOf(about)?.formats ?? [];
    format.replaceChildren(...Object.keys(NAMES).filter((f) => offered.includes(f)).map((f) => element("option", { value: f }, NAMES[f])));
  };
  whenever(["about"], follow);
  follow(current());
  byId("export-form").addEventListener("submit", (event) => {
    event.preventDefault();
    const state = current();
    const f = format.value;
    const path = `collections/${encodeURIComponent(state.about)}/export`;
    const extra = f === "csv" && byId("export-bom").checked ? { bom: "true" } : {};
    const streamed = address(path, { f, ...parametersOf(state), ...extra }).href;
    if (STREAMED.has(f) && streamed.length < LONGEST_ADDRESS) {
      download(streamed);
      say(t("export.streams"));
      return;
    }
    const job = new Job(`${collectionOf(state.about).title} · ${NAMES[f]}`);
    job.start(`${path}?${new URLSearchParams({ f, ...extra })}`, bodyOf(state)).catch((error) => job.fail(error));
  });
  const bom = () => { byId("export-bom-box").hidden = format.value !== "csv"; };
  format.addEventListener("change", bom);
  whenever(["about"], bom);
  bom();
}
