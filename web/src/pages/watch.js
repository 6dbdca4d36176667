// A load or a harvest that is going on (`data-home`: its address in the API): its numbers as they come; the page is read again when it has ended.
import { getJson } from "../api.js";
import { number, t } from "../page.js";

const EVERY_MS = 700;

export function enhance(place) {
  const bar = place.querySelector("progress");
  const look = async () => {
    let run;
    try {
      run = await getJson(place.dataset.home);
    } catch {
      return setTimeout(look, EVERY_MS * 5); // the server may be starting anew: the load goes on with it
    }
    if (run.state === "completed" || run.state === "failed") return location.reload();
    const phase = place.querySelector("[data-phase]");
    const step = run.phase ?? run.state;
    const word = place.querySelector(`[data-word=${step}]`)?.textContent ?? step;
    if (phase.textContent !== word) phase.textContent = word;
    const read = number(run.account.read);
    place.querySelector("[data-rows]").textContent = run.expected ? t("watch.rows", { read, total: number(run.expected) }) : read;
    if (run.expected) {
      bar.max = run.expected;
      bar.value = Math.min(run.account.read, run.expected);
    }
    for (const cell of document.querySelectorAll("[data-account]")) cell.textContent = number(run.account[cell.dataset.account]);
    return setTimeout(look, EVERY_MS);
  };
  setTimeout(look, EVERY_MS);
}
