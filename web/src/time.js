// When: a slider over the life of the city for valid time, and "as known at" for what was recorded by then.
import { byId, say, t } from "./page.js";
import { isDay } from "./question.js";
import { collections } from "./registry.js";
import { change, current, whenever } from "./state.js";

const today = () => new Date().toISOString().slice(0, 10);
const STEP_MS = 900;

/** First and last year of the slider: what the collections' times span, today included. */
function span() {
  const begins = collections().filter(({ id }) => id !== "imagery").map(({ times }) => times[0]).filter(Boolean).map((time) => Number(time.slice(0, 4)));
  const ends = collections().map(({ times }) => times[1]).filter(Boolean).map((time) => Number(time.slice(0, 4)));
  const now = new Date().getUTCFullYear();
  return [Math.max(1800, Math.min(now - 1, ...begins)), Math.min(2200, Math.max(now, ...ends))];
}

/** The times of the state in words; "" for now. */
export const timeText = ({ date, known }) =>
  [date && t("time.at", { date }), known && t("time.known-at", { date: known.slice(0, 10) })].filter(Boolean).join(" · ");

export function wireTime() {
  const slider = byId("time-slider");
  const day = byId("time-day");
  const known = byId("time-known");
  const play = byId("time-play");
  const [first, last] = span();
  slider.min = first;
  slider.max = last;
  byId("time-first").textContent = first;
  byId("time-last").textContent = last;

  const follow = ({ date, known: recorded }) => {
    day.value = date;
    known.value = recorded.slice(0, 10);
    slider.value = date ? date.slice(0, 4) : last;
    slider.setAttribute("aria-valuetext", date || t("time.now"));
    byId("time-shown").textContent = date || t("time.now");
    byId("time-badge").hidden = !(date || recorded);
    byId("time-badge").textContent = timeText({ date, known: recorded });
    byId("time-now").disabled = !(date || recorded);
  };
  const dateOf = (year) => (Number(year) >= new Date().getUTCFullYear() ? "" : `${year}-12-31`);
  let waiting;
  slider.addEventListener("input", () => { // while it is dragged the map follows a little later; each drag is one step back
    byId("time-shown").textContent = dateOf(slider.value) || t("time.now");
    clearTimeout(waiting);
    waiting = setTimeout(() => change({ date: dateOf(slider.value) }, { isStep: false }), 250);
  });
  slider.addEventListener("change", () => {
    clearTimeout(waiting);
    change({ date: dateOf(slider.value) });
  });
  day.addEventListener("change", () => (!day.value || isDay(day.value)) && change({ date: day.value === today() ? "" : day.value }));
  known.addEventListener("change", () => {
    if (known.value > today()) return say(t("time.future"), { isError: true });
    return change({ known: known.value });
  });
  byId("time-now").addEventListener("click", () => change({ date: "", known: "" }));

  let timer = null;
  const stop = () => {
    clearInterval(timer);
    timer = null;
    play.setAttribute("aria-pressed", "false");
    play.textContent = t("time.play");
  };
  play.addEventListener("click", () => {
    if (timer) return stop();
    play.setAttribute("aria-pressed", "true");
    play.textContent = t("time.stop");
    const step = Math.max(1, Math.round((last - first) / 25));
    let year = Number(slider.value) >= last ? first : Number(slider.value);
    const go = () => {
      change({ date: dateOf(year) }, { isStep: false });
      if (year >= last) return stop();
      year = Math.min(last, year + step);
      return undefined;
    };
    timer = setInterval(go, STEP_MS);
    return go();
  });
  whenever(["date", "known"], follow);
  follow(current());
}
