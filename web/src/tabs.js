// Tabs by the ARIA pattern: arrow keys move between them; on a narrow page a second press folds the panel.
import { byId, isNarrow } from "./page.js";

export function wireTabs() {
  document.body.classList.toggle("shows-map", isNarrow());
  const tabs = [...document.querySelectorAll("[role=tab]")];
  const show = (tab) => {
    for (const one of tabs) {
      const isShown = one === tab;
      one.setAttribute("aria-selected", String(isShown));
      one.tabIndex = isShown ? 0 : -1;
      byId(one.getAttribute("aria-controls")).hidden = !isShown;
    }
  };
  tabs.forEach((tab, i) => {
    tab.addEventListener("click", () => {
      const wasShown = tab.getAttribute("aria-selected") === "true";
      document.body.classList.toggle("shows-map", wasShown && !document.body.classList.contains("shows-map"));
      show(tab);
    });
    tab.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!step) return;
      const next = tabs[(i + step + tabs.length) % tabs.length];
      show(next);
      next.focus();
    });
  });
}
