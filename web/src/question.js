// A question about an area: how many buildings, how much floor, how high, of what use; and which ones.
import { Problem, postJson, schemaOf } from "./api.js";
import { USE_COLOURS, UNKNOWN } from "./colours.js";
import { byId, config, copyButton, element, isNarrow, number, say, t } from "./page.js";
import { codesOf } from "./record.js";

const AGGREGATE = "collections/buildings/aggregate";
const SEARCH = "collections/buildings/search";
const LISTED = 20;

/** The part of a request body that says where: the same for numbers and list. */
export const bodyOf = ({ geometry, area, bbox }) => (geometry ? { geometry } : area ? { area } : { bbox });

/** A command that asks the same question anywhere. */
export function curlOf(path, body) {
  const text = JSON.stringify(body).replaceAll("'", "'\\''");
  return `curl -s -X POST '${config.publicUrl}/${path}' \\\n  -H 'Content-Type: application/json' \\\n  -d '${text}'`;
}

/** One number under its name; the exact value is kept beside the written one, which may be in a larger unit. */
function figure(name, label, value, { unit, digits = 0 } = {}) {
  const isLarge = unit === "m²" && value >= 1e6;
  const written = isLarge ? number(value / 1e6, 2) : number(value, digits);
  const suffix = unit && value != null ? element("small", {}, ` ${isLarge ? "km²" : unit}`) : null;
  return element("div", { class: "figure" },
    element("dt", {}, label),
    element("dd", { "data-figure": name, "data-value": value, title: isLarge ? `${number(value)} m²` : null }, written, suffix));
}

function useTable(groups, titles) {
  const largest = Math.max(1, ...groups.map((group) => group.count));
  const rows = [...groups].sort((a, b) => b.count - a.count).map((group) => {
    const code = group.group.use;
    const bar = element("span", { class: "bar" });
    bar.style.width = `${Math.max(1.5, (100 * group.count) / largest)}%`;
    bar.style.background = USE_COLOURS[code] ?? UNKNOWN;
    return element("tr", { "data-use": code ?? "" },
      element("th", { scope: "row" }, titles.get(code) ?? code ?? t("use.unknown"), element("span", { class: "track" }, bar)),
      element("td", {}, number(group.count)),
      element("td", {}, number((group.floor_area_m2?.sum ?? 0) / 1e4, 1, 1)),
      element("td", {}, number(group.height_m?.avg, 1, 1)));
  });
  return element("table", { class: "numbers" },
    element("caption", {}, t("answer.by-use")),
    element("thead", {}, element("tr", {},
      element("th", { scope: "col" }, t("answer.use")), element("th", { scope: "col" }, t("answer.count")),
      element("th", { scope: "col" }, t("answer.floor-area-10k")), element("th", { scope: "col" }, t("answer.height-avg")))),
    element("tbody", {}, ...rows));
}

/** Asks and shows. `onOpen(id, geometry, button)` is called for a building of the list. */
export class Answer {
  constructor(onOpen) {
    this.onOpen = onOpen;
    this.place = byId("answer");
  }

  clear() {
    this.running?.abort();
    this.place.replaceChildren();
    this.place.hidden = true;
  }

  async ask(question, label) {
    this.running?.abort();
    const running = new AbortController();
    this.running = running;
    this.place.hidden = false;
    document.body.classList.remove("shows-map");
    this.place.setAttribute("aria-busy", "true");
    this.place.replaceChildren(element("p", { class: "is-faint" }, t("answer.asking")));
    const body = bodyOf(question);
    try {
      const [numbers, page, schema] = await Promise.all([
        postJson(AGGREGATE, { ...body, "group-by": "use" }, running.signal),
        postJson(SEARCH, { ...body, limit: LISTED }, running.signal),
        schemaOf("buildings"),
      ]);
      if (this.running !== running) return;
      this.show(label, body, numbers, page, codesOf(schema.properties?.use));
    } catch (error) {
      if (error.name === "AbortError") return;
      const text = error instanceof Problem ? error.message : t("answer.failed");
      this.place.replaceChildren(element("p", { class: "is-error", role: "alert" }, text));
    } finally {
      if (this.running === running) this.place.removeAttribute("aria-busy");
    }
  }

  show(label, body, { groups, total }, page, titles) {
    const list = element("ol", { class: "buildings" });
    this.fill(list, page.features, titles);
    const more = element("button", { type: "button", class: "button is-small", hidden: !this.next(page) }, t("answer.more"));
    more.addEventListener("click", async () => {
      more.disabled = true;
      try {
        page = await postJson(SEARCH, this.next(page));
        const first = list.children.length;
        this.fill(list, page.features, titles);
        list.children[first]?.querySelector("button").focus();
        more.hidden = !this.next(page);
      } catch (error) {
        say(error.message, { isError: true });
      }
      more.disabled = false;
    });
    this.place.replaceChildren(
      element("h3", { id: "answer-title", tabindex: "-1" }, label),
      element("dl", { class: "figures" },
        figure("count", t("answer.buildings"), total.count),
        figure("height-avg", t("answer.height-avg"), total.height_m?.avg, { unit: "m", digits: 1 }),
        figure("height-max", t("answer.height-max"), total.height_m?.max, { unit: "m", digits: 1 }),
        figure("footprint", t("answer.footprint"), total.footprint_area_m2?.sum, { unit: "m²" }),
        figure("floor", t("answer.floor-area"), total.floor_area_m2?.sum, { unit: "m²" })),
      ...(total.count
        ? [useTable(groups, titles), element("h4", {}, t("answer.first")), list, more]
        : [element("p", { class: "is-faint" }, t("answer.nothing"))]),
      element("div", { class: "actions" },
        copyButton(() => curlOf(AGGREGATE, { ...body, "group-by": "use" }), t("answer.copy-numbers")),
        copyButton(() => curlOf(SEARCH, { ...body, limit: 1000 }), t("answer.copy-list"))));
    if (isNarrow()) this.place.scrollIntoView({ block: "start" });
    say(t("answer.said", { label, count: number(total.count) }));
  }

  fill(list, features, titles) {
    for (const feature of features) {
      const p = feature.properties;
      const facts = [titles.get(p.use) ?? p.use, p.height_m == null ? null : `${number(p.height_m, 1)} m`].filter(Boolean).join(" · ");
      const button = element("button", { type: "button" },
        element("span", {}, (config.lang === "en" && p.name_en) || p.name || p.address || feature.id), element("small", {}, facts));
      button.addEventListener("click", () => this.onOpen(feature.id, feature.geometry, button));
      list.append(element("li", {}, button));
    }
  }

  /** The body that asks for the page after `page`, or null at the end. */
  next(page) {
    return (page.links ?? []).find((link) => link.rel === "next")?.body ?? null;
  }
}
