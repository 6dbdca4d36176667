// "Use it": the same data from a command line, Python, QGIS and JavaScript, ready to copy and run.
import { byId, config, copyButton, element, t } from "./page.js";
import { collectionOf, collections } from "./registry.js";

const WAYS = {
  curl: (base, id) => `curl -s '${base}/collections/${id}/items?limit=5'`,
  python: (base, id) => `import geopandas\n\nframe = geopandas.read_file("OAPIF:${base}", layer="${id}", rows=1000)\nprint(frame.head())`,
  qgis: (base) => base,
  javascript: (base, id) =>
    `const answer = await fetch("${base}/collections/${id}/items?limit=100");\nconst { features } = await answer.json();\nconsole.log(features.length, features[0]?.properties);`,
};

/** Fills the panel for the collection chosen in its select. */
export function showSnippets() {
  const select = byId("use-collection");
  select.replaceChildren(...collections().map(({ id, title }) => element("option", { value: id }, title)));
  if (collectionOf("buildings")) select.value = "buildings";
  const fill = () => {
    byId("snippets").replaceChildren(...Object.entries(WAYS).map(([way, write]) => {
      const text = write(config.publicUrl, select.value);
      return element("section", { class: "snippet", "data-way": way },
        element("div", { class: "snippet-head" }, element("h3", {}, t(`use.${way}`)), copyButton(() => text)),
        element("pre", { tabindex: "0", "aria-label": t(`use.${way}`) }, text),
        way === "qgis" ? element("p", { class: "is-faint" }, t("use.qgis.how")) : null);
    }));
  };
  select.addEventListener("change", fill);
  fill();
}
