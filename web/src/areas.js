// Areas on the map, and the choice city → district → street → community.
import { allFeatures } from "./api.js";
import { GROUND } from "./colours.js";
import { config, element, number, t } from "./page.js";
import { labelPoint } from "./shapes.js";

export const LEVELS = ["city", "district", "street", "community"];
const asked = new Map();
const known = new Map();

/** Features of one level (below `parent`), asked once. */
function areasOf(level, parent) {
  const key = `${level} ${parent ?? ""}`;
  if (!asked.has(key)) {
    const answer = allFeatures("areas", { level, ...(parent ? { parent_code: parent } : {}) });
    answer.then((features) => features.forEach((feature) => known.set(feature.properties.code, feature)));
    answer.catch(() => asked.delete(key));
    asked.set(key, answer);
  }
  return asked.get(key);
}

/** The name in the page's language, else the Chinese one, else the code. */
export const nameOf = ({ properties: p }) => (config.lang === "en" && p.name_en) || p.name || p.code;
/** The area of that code, asked for where it is not known yet; undefined where there is none. */
export async function featureOfArea(code) {
  if (!known.has(code)) {
    const [feature] = await allFeatures("areas", { code, limit: 1 }, 1);
    if (feature) known.set(code, feature);
  }
  return known.get(code);
}

/** The name of an area's code, or undefined; `prepare(codes)` asks for those not known yet. */
export const nameOfCode = (code) => (known.has(code) ? nameOf(known.get(code)) : undefined);
nameOfCode.prepare = async (codes) => {
  const missing = codes.filter((code) => !known.has(code)).slice(0, 500);
  if (!missing.length) return;
  const filter = `code IN (${missing.map((code) => `'${code.replaceAll("'", "''")}'`).join(",")})`;
  for (const feature of await allFeatures("areas", { filter })) known.set(feature.properties.code, feature);
};

/** Draws the boundaries: three levels at once, communities when one is near enough to see them. */
export async function showAreas(map) {
  if (!map.getSource("areas-names")) return; // areas are hidden from this caller
  const labels = [];
  const draw = async (level) => {
    const features = (await areasOf(level)).filter((feature) => feature.geometry);
    features.forEach((feature, i) => { feature.properties.tint = GROUND.tints[i % GROUND.tints.length]; });
    map.getSource(`areas-${level}`).setData({ type: "FeatureCollection", features });
    for (const feature of features) {
      labels.push({
        type: "Feature",
        properties: { level, label: nameOf(feature) },
        geometry: { type: "Point", coordinates: labelPoint(feature.geometry) },
      });
    }
    map.getSource("areas-names").setData({ type: "FeatureCollection", features: labels });
  };
  const drawCommunities = () => {
    if (map.getZoom() < 12.5) return;
    map.off("moveend", drawCommunities);
    draw("community").catch(() => map.on("moveend", drawCommunities));
  };
  map.on("moveend", drawCommunities);
  for (const level of ["city", "district", "street"]) await draw(level);
  drawCommunities();
}

/** Four linked selects in `place`, their ids with `prefix`; `onPick` gets the chosen area's code, "" when the choice is cleared. */
export async function areaPicker(place, onPick, prefix = "area") {
  const selects = LEVELS.map((level, i) =>
    element("select", { id: `${prefix}-${level}`, disabled: true, onchange: () => chosen(i) }));
  place.replaceChildren(...LEVELS.map((level, i) =>
    element("div", { class: "field" }, element("label", { for: `${prefix}-${level}` }, t(`level.${level}`)), selects[i])));

  function offer(i, features) {
    const sorted = [...features].sort((a, b) => (a.properties.code < b.properties.code ? -1 : 1));
    selects[i].replaceChildren(
      element("option", { value: "" }, features.length ? t("area.any", { count: number(features.length) }) : t("area.none")),
      ...sorted.map((feature) => element("option", { value: feature.properties.code }, nameOf(feature))));
    selects[i].disabled = !features.length;
  }
  function clear(from) {
    for (let i = from; i < LEVELS.length; i += 1) {
      selects[i].replaceChildren(element("option", { value: "" }, "–"));
      selects[i].disabled = true;
    }
  }
  async function below(i, parent) {
    if (i >= LEVELS.length) return;
    const features = await areasOf(LEVELS[i], parent);
    if (i === 0 || selects[i - 1].value === parent) offer(i, features);
  }
  async function chosen(i) {
    clear(i + 1);
    if (selects[i].value) below(i + 1, selects[i].value);
    onPick(selects[i].value || (i > 0 ? selects[i - 1].value : ""));
  }

  clear(0);
  await below(0);
  if (selects[0].options.length === 2) { // one city: it is already chosen, its districts are the question
    selects[0].selectedIndex = 1;
    await below(1, selects[0].value);
  }
  return {
    /** Puts the selects on `code` without asking anything. */
    async show(code) {
      const lengths = [4, 6, 9, 12];
      for (let i = 0; i < LEVELS.length && lengths[i] <= code.length; i += 1) {
        const part = code.slice(0, lengths[i]);
        if (selects[i].value !== part) {
          selects[i].value = part;
          clear(i + 1);
        }
        await below(i + 1, part);
      }
      clear(LEVELS.length);
    },
    reset() {
      const first = selects[0].options.length === 2 ? 1 : 0;
      selects[first].value = "";
      clear(first + 1);
    },
  };
}
