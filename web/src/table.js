// The table of what matches: also the map's alternative. Only the rows in sight are in the page; more come along `next`.
import { postJson, schemaOf, sortablesOf } from "./api.js";
import { isDocument, isNumber, textOf, unitOf } from "./fields.js";
import { byId, element, number, say, t } from "./page.js";
import { bodyOf, placeName } from "./question.js";
import { titleOf } from "./registry.js";
import { change, current, whenever } from "./state.js";

const ROW = 30; // pixels, as in portal.css
const PAGE = 200;
const SPARE = 12;

class RowList {
  constructor() {
    this.scroll = byId("table-scroll");
    this.table = byId("table-rows");
    this.scroll.addEventListener("scroll", () => this.draw(), { passive: true });
    new ResizeObserver(() => this.draw()).observe(this.scroll);
  }

  /** Starts anew with the question of `state`. */
  async open(state) {
    this.running?.abort();
    const running = new AbortController();
    this.running = running;
    this.rows = [];
    this.next = null;
    this.table.setAttribute("aria-busy", "true");
    try {
      const [{ properties }, sortables, label] = await Promise.all([schemaOf(state.about), sortablesOf(state.about), placeName(state.place)]);
      this.properties = properties;
      this.columns = Object.keys(properties).filter((name) => !["id", "geometry", "attributes"].includes(name) && !isDocument(properties[name]));
      byId("table-title").textContent = `${titleOf(state.about)} · ${label}`;
      this.head(state, new Set(Object.keys(sortables.properties)));
      const page = await postJson(`collections/${encodeURIComponent(state.about)}/search`, {
        ...bodyOf(state), limit: PAGE, properties: this.columns, skipGeometry: true, ...(state.sort ? { sortby: [state.sort] } : {}) }, running.signal);
      if (this.running !== running) return;
      this.about = state.about;
      this.take(page);
      this.scroll.scrollTop = 0;
      this.draw(true);
      say(t("table.said", { count: byId("table-count").textContent }));
    } catch (error) {
      if (error.name === "AbortError") return;
      this.rows = [];
      this.next = null;
      this.draw(true);
      byId("table-count").textContent = error.message;
    } finally {
      if (this.running === running) this.table.removeAttribute("aria-busy");
    }
  }

  take(page) {
    this.rows.push(...page.features);
    this.next = (page.links ?? []).find((link) => link.rel === "next")?.body ?? null;
    this.matched = page.numberMatched ?? this.matched;
    if (!this.next) this.matched = this.rows.length;
    byId("table-count").textContent = this.matched === undefined
      ? t("table.first", { count: number(this.rows.length) }) : t("table.of", { count: number(this.rows.length), all: number(this.matched) });
    this.table.setAttribute("aria-rowcount", this.matched === undefined ? "-1" : String(this.matched + 1));
  }

  head(state, sortable) {
    this.matched = undefined;
    const cell = (name, title) => {
      const direction = state.sort === name ? "ascending" : state.sort === `-${name}` ? "descending" : "none";
      const unit = unitOf(this.properties[name]);
      const label = unit ? `${title} (${unit})` : title;
      if (!sortable.has(name)) return element("th", { scope: "col" }, label);
      const arrow = { ascending: " ↑", descending: " ↓", none: "" }[direction];
      return element("th", { scope: "col", "aria-sort": direction, class: isNumber(this.properties[name]) ? "is-number" : null },
        element("button", { type: "button", "data-sort": name, onclick: () => change({ sort: direction === "ascending" ? `-${name}` : direction === "descending" ? "" : name }) }, label,
          element("span", { "aria-hidden": "true" }, arrow)));
    };
    const focused = this.table.tHead?.contains(document.activeElement) ? document.activeElement.dataset.sort : null;
    this.table.replaceChildren(
      element("thead", {}, element("tr", { "aria-rowindex": "1" }, cell("id", this.properties.id?.title ?? "id"), ...this.columns.map((name) => cell(name, this.properties[name].title ?? name)))),
      element("tbody", {}));
    if (focused) this.table.querySelector(`[data-sort="${CSS.escape(focused)}"]`)?.focus();
  }

  /** Puts the rows in sight into the page, and asks for more near the end. */
  draw(isNew = false) {
    const body = this.table.tBodies[0];
    if (!body || byId("table-dock").hidden) return;
    const first = Math.max(0, Math.floor(this.scroll.scrollTop / ROW) - SPARE);
    const last = Math.min(this.rows.length, Math.ceil((this.scroll.scrollTop + this.scroll.clientHeight) / ROW) + SPARE);
    if (isNew || first !== this.first || last !== this.last) {
      const focused = body.contains(document.activeElement) ? document.activeElement.dataset.id : null;
      const space = (count, key) => element("tr", { class: "space", "aria-hidden": "true", "data-rows": count, "data-space": key });
      const above = space(first, "above");
      const below = space(this.rows.length - last, "below");
      above.style.height = `${first * ROW}px`;
      below.style.height = `${(this.rows.length - last) * ROW}px`;
      body.replaceChildren(above, ...this.rows.slice(first, last).map((feature, i) => this.row(feature, first + i)), below);
      if (focused) body.querySelector(`[data-id="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
      [this.first, this.last] = [first, last];
    }
    if (this.next && last > this.rows.length - PAGE / 2) this.more();
  }

  row({ id, properties }, at) {
    return element("tr", { "aria-rowindex": String(at + 2) },
      element("th", { scope: "row" }, element("button", { type: "button", class: "link", "data-id": id,
        onclick: () => change({ record: `${this.about}/${id}` }) }, String(id))),
      ...this.columns.map((name) => element("td", { class: isNumber(this.properties[name]) ? "is-number" : null }, textOf(name, properties[name], this.properties[name]))));
  }

  async more() {
    const [next, running] = [this.next, this.running];
    this.next = null;
    try {
      const page = await postJson(`collections/${encodeURIComponent(this.about)}/search`, next, running.signal);
      if (this.running !== running) return;
      this.take(page);
      this.draw(true);
    } catch (error) {
      if (error.name !== "AbortError") say(error.message, { isError: true });
    }
  }
}

/** The table's dock and the buttons that open it. */
export function wireTable() {
  const dock = byId("table-dock");
  const list = new RowList();
  const follow = (state) => {
    const isOpen = state.table === "1";
    dock.hidden = !isOpen;
    document.body.classList.toggle("has-table", isOpen);
    for (const button of document.querySelectorAll("[data-opens=table]")) button.setAttribute("aria-expanded", String(isOpen));
    if (isOpen) list.open(state);
    else list.running?.abort();
  };
  whenever(["table", "about", "place", "filter", "date", "known", "sort"], (state, changed) => { if (state.table === "1" || changed.includes("table")) follow(state); });
  follow(current());
  for (const button of document.querySelectorAll("[data-opens=table]")) {
    button.addEventListener("click", () => {
      const opens = current().table !== "1";
      change({ table: opens ? "1" : "" });
      if (opens) byId("table-dock").focus();
    });
  }
  byId("table-close").addEventListener("click", () => {
    change({ table: "" });
    document.querySelector("[data-opens=table]").focus();
  });
}
