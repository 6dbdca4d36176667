// Tabs by the ARIA pattern: arrow keys move between them; on a narrow page a second press folds the panel.
import { byId, isNarrow } from "./page.js";
import { change, current, whenever } from "./state.js";

export function wireTabs() {
  document.body.classList.toggle("shows-map", isNarrow() && current().tab === "layers");
  const tabs = [...document.querySelectorAll("[role=tab]")];
  const nameOf = (tab) => tab.id.replace("tab-", "");
  const show = ({ tab: name }) => {
    for (const one of tabs) {
      const isShown = nameOf(one) === name;
      one.setAttribute("aria-selected", String(isShown));
      one.tabIndex = isShown ? 0 : -1;
      byId(one.getAttribute("aria-controls")).hidden = !isShown;
    }
  };
  tabs.forEach((tab, i) => {
    tab.addEventListener("click", () => {
      const wasShown = tab.getAttribute("aria-selected") === "true";
      document.body.classList.toggle("shows-map", wasShown && !document.body.classList.contains("shows-map"));
      change({ tab: nameOf(tab) }, { isStep: false });
    });
    tab.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1, Home: -i, End: tabs.length - 1 - i }[event.key];
      if (step === undefined) return;
      event.preventDefault();
      const next = tabs[(i + step + tabs.length) % tabs.length];
      change({ tab: nameOf(next) }, { isStep: false });
      next.focus();
    });
  });
  whenever(["tab"], show);
  show(tabs.some((tab) => nameOf(tab) === current().tab) ? current() : { tab: "layers" });
}
