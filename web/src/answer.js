// The answer in the "ask" panel: the numbers of what lies in the place and matches the filter.
import { Problem } from "./api.js";
import { nameOfCode } from "./areas.js";
import { byId, copyButton, element, isNarrow, number, say, t } from "./page.js";
import { bodyOf, curlOf, isAsked, placeName } from "./question.js";
import { collections, titleOf } from "./registry.js";
import { change, current, whenever } from "./state.js";
import { chartsOf, figureList, figuresOf, groupKeys, groupTable, statisticsOf } from "./statistics.js";

let running = null;

/** The key that groups have under the state. */
export const keyOf = ({ by }, keys) => (keys.some(([key]) => key === by) ? by : keys[0]?.[0] ?? "");

function groupChoice(keys, key) {
  const select = element("select", { id: "group-by" }, ...keys.map(([one, title]) => element("option", { value: one }, title)));
  select.value = key;
  select.addEventListener("change", () => change({ by: select.value }));
  return element("div", { class: "field is-inline" }, element("label", { for: "group-by" }, t("answer.group-by")), select);
}

async function show(state, { onProblem }) {
  running?.abort();
  const place = byId("answer");
  byId("answer-tools").hidden = !isAsked(state);
  if (!isAsked(state)) {
    running = null;
    place.replaceChildren();
    place.hidden = true;
    return;
  }
  const asked = new AbortController();
  running = asked;
  const hadGroupFocus = document.activeElement?.id === "group-by";
  place.hidden = false;
  document.body.classList.remove("shows-map");
  place.setAttribute("aria-busy", "true");
  if (!place.children.length) place.replaceChildren(element("p", { class: "is-faint" }, t("answer.asking")));
  try {
    const [keys, label] = await Promise.all([groupKeys(state.about), placeName(state.place)]);
    const key = keyOf(state, keys);
    const found = await statisticsOf(state, key, asked.signal);
    const isByArea = ["district", "street", "community"].includes(key);
    if (isByArea) await nameOfCode.prepare(found.groups.map((group) => group.group[key]).filter(Boolean));
    if (running !== asked) return;
    const title = keys.find(([one]) => one === key)?.[1] ?? "";
    const charts = element("div", { id: "charts", class: "charts" });
    place.replaceChildren(
      element("h3", { id: "answer-title", tabindex: "-1" }, label),
      state.about === "buildings" ? "" : element("p", { class: "is-faint" }, titleOf(state.about)),
      figureList(figuresOf(state.about, found.total, found.properties)),
      ...(found.total.count
        ? [keys.length > 1 ? groupChoice(keys, key) : "", key ? groupTable(state.about, found, title, (code) => (isByArea ? nameOfCode(code) : undefined)) : "", charts]
        : [element("p", { class: "is-faint" }, t("answer.nothing"))]));
    place.removeAttribute("aria-busy");
    if (hadGroupFocus) byId("group-by")?.focus();
    if (isNarrow() && !state.vs) place.scrollIntoView({ block: "start" });
    say(t("answer.said", { label, count: number(found.total.count) }));
    if (found.total.count) charts.replaceChildren(...(await chartsOf(state, found, asked.signal)));
  } catch (error) {
    if (error.name === "AbortError" || running !== asked) return;
    if (error.parameter === "filter") onProblem(error);
    const text = error instanceof Problem ? error.message : t("answer.failed");
    place.replaceChildren(element("p", { class: "is-error", role: "alert" }, text));
    place.removeAttribute("aria-busy");
  }
}

/** Keeps the answer on the state's question; `onProblem` hears of a filter that the server refuses. */
export function wireAnswer({ onProblem }) {
  const about = byId("ask-about");
  about.replaceChildren(...collections().map(({ id, title }) => element("option", { value: id }, title)));
  about.addEventListener("change", () => change({ about: about.value, filter: "", rows: "", by: "", sort: "" }));
  const follow = (state) => { about.value = state.about; };
  whenever(["about"], follow);
  follow(current());
  byId("answer-copy").replaceChildren(
    copyButton(() => curlOf(`collections/${current().about}/aggregate`, { ...bodyOf(current()), ...(current().by ? { "group-by": current().by } : {}) }), t("answer.copy-numbers")),
    copyButton(() => curlOf(`collections/${current().about}/search`, { ...bodyOf(current()), limit: 1000 }), t("answer.copy-list")));
  whenever(["about", "place", "filter", "by", "date", "known"], (state) => show(state, { onProblem }));
  show(current(), { onProblem });
}
