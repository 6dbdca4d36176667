// The search box: names, addresses, codes, ids and coordinates over everything the caller may see; a combobox by the ARIA pattern.
import { firstFeatures, getJson } from "./api.js";
import { nameOf } from "./areas.js";
import { byId, element, t } from "./page.js";
import { collections, titleOf } from "./registry.js";
import { theView } from "./stage.js";
import { change } from "./state.js";

const EACH = 5;
const WAIT_MS = 220;
const COORDINATES = /^\s*(-?\d{1,3}(?:\.\d+)?)\s*[,，\s]\s*(-?\d{1,2}(?:\.\d+)?)\s*$/;

const named = ({ id, properties }) => nameOf({ properties: { ...properties, code: properties.title ?? id } });

/** Features of a collection by word, then by id. */
async function inCollection(id, text, signal) {
  const show = { limit: EACH, skipGeometry: true };
  const tries = [];
  if ([...text].length >= 2) tries.push(firstFeatures(id, { q: text, ...show }, signal));
  if (/^[\w.:-]+$/.test(text)) tries.push(firstFeatures(id, { ids: text, ...show }, signal));
  if (id === "areas" && /^\d{4,12}$/.test(text)) tries.push(firstFeatures(id, { code: text, ...show }, signal));
  const found = (await Promise.allSettled(tries)).flatMap((one) => one.value ?? []);
  return [...new Map(found.map((feature) => [feature.id, feature])).values()].slice(0, EACH).map((feature) => ({
    title: named(feature),
    note: id === "areas" ? t(`level.${feature.properties.level}`) : feature.properties.address ?? feature.id,
    group: titleOf(id),
    take: () => change(id === "areas" ? { place: `area:${feature.properties.code}`, tab: "ask" } : { record: `${id}/${feature.id}` }),
  }));
}

async function services(text, signal) {
  if ([...text].length < 2) return [];
  const { features } = await getJson("catalogue/items", { q: text, limit: EACH }, signal);
  return features.map(({ id, properties }) => ({ title: properties.title ?? id, note: properties.kind ?? "", group: t("search.services"), href: `catalogue/items/${encodeURIComponent(id)}` }));
}

/** Goes to coordinates. */
function fly(lng, lat) {
  const { map } = theView();
  map.flyTo({ center: [lng, lat], zoom: Math.max(16, map.getZoom()) });
}

/** The box. */
export function wireSearch() {
  const input = byId("search");
  const list = byId("search-list");
  let found = [];
  let active = -1;
  let running = null;
  let waiting;

  const close = () => {
    list.hidden = true;
    input.setAttribute("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant");
    active = -1;
  };
  const choose = (i) => {
    const one = found[i];
    if (!one) return;
    close();
    input.value = one.title;
    if (one.href) location.assign(one.href);
    else one.take();
  };
  const mark = (i) => {
    active = i;
    [...list.querySelectorAll("[role=option]")].forEach((option, at) => option.setAttribute("aria-selected", String(at === i)));
    if (i < 0) return input.removeAttribute("aria-activedescendant");
    input.setAttribute("aria-activedescendant", `search-${i}`);
    return byId(`search-${i}`).scrollIntoView({ block: "nearest" });
  };
  const draw = (options, text) => {
    found = options;
    const groups = [...new Set(options.map((one) => one.group))];
    let at = -1;
    list.replaceChildren(...groups.map((group, g) => element("div", { role: "group", "aria-labelledby": `search-group-${g}` },
      element("div", { class: "search-group", id: `search-group-${g}`, role: "presentation" }, group),
      ...options.filter((one) => one.group === group).map((one) => {
        at += 1;
        const mine = found.indexOf(one);
        return element("div", { role: "option", id: `search-${mine}`, "aria-selected": "false", onclick: () => choose(mine) }, element("span", {}, one.title), element("small", {}, one.note));
      }))));
    list.hidden = !options.length;
    input.setAttribute("aria-expanded", String(options.length > 0));
    active = -1;
    byId("search-said").textContent = options.length ? t("search.found", { count: options.length }) : t("search.nothing", { text });
    byId("search-said").classList.toggle("is-shown", !options.length);
  };
  const ask = async () => {
    const text = input.value.trim();
    running?.abort();
    byId("search-said").classList.remove("is-shown");
    if (!text) return close();
    const coordinates = COORDINATES.exec(text);
    if (coordinates && theView()) {
      const [lng, lat] = coordinates.slice(1).map(Number);
      return draw([{ title: `${lng}, ${lat}`, note: t("search.go"), group: t("search.place"), take: () => fly(lng, lat) }], text);
    }
    const asked = new AbortController();
    running = asked;
    const sources = collections().map(({ id }) => id).sort((a, b) => (a === "areas" ? -1 : b === "areas" ? 1 : 0));
    const answers = await Promise.allSettled([...sources.map((id) => inCollection(id, text, asked.signal)), services(text, asked.signal)]);
    if (running !== asked) return undefined;
    return draw(answers.flatMap((one) => one.value ?? []), text);
  };
  input.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(ask, WAIT_MS);
  });
  input.addEventListener("keydown", (event) => {
    const count = found.length;
    const isOpen = !list.hidden;
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      if (!isOpen) return ask();
      return mark((active + (event.key === "ArrowDown" ? 1 : -1) + count) % count);
    }
    if (event.key === "Enter") {
      event.preventDefault();
      return isOpen ? choose(Math.max(0, active)) : ask();
    }
    if (event.key === "Escape" && isOpen) {
      event.stopPropagation();
      return close();
    }
    return undefined;
  });
  input.addEventListener("blur", () => setTimeout(() => { close(); byId("search-said").classList.remove("is-shown"); }, 150));
  list.addEventListener("mousedown", (event) => event.preventDefault()); // the box keeps the focus
}
