// Colours of the map. Uses follow the habit of Chinese land-use plans (living yellow, trade red, work brown), softened.
export const USE_COLOURS = {
  residential: "#edc976",
  commercial: "#e2795c",
  office: "#6f93c9",
  industrial: "#a3805f",
  public: "#cc7ba8",
  education: "#9484c8",
  medical: "#5cb5a4",
  transport: "#8d99a3",
  mixed: "#dfa069",
  other: "#c5c2b8",
};

export const STATUS_COLOURS = {
  planned: "#b9a5dc",
  approved: "#7fa8dd",
  under_construction: "#f0b04f",
  completed: "#9fc08f",
  demolished: "#a9a39a",
};

export const SENSOR_COLOURS = {
  air_quality: "#2a9d5c",
  weather: "#1f8fd1",
  noise: "#b1591f",
  water_level: "#0b62b8",
  water_quality: "#0aa3b5",
  traffic_flow: "#d0342c",
  structure: "#6b4ea8",
  energy: "#d99b00",
  manhole: "#4d4d4d",
  parking: "#c2367f",
  other: "#77838a",
};

/** From few buildings in a cell to many. */
export const DENSITY = ["#e4efe4", "#9fcdb9", "#4f9f9b", "#1b6673", "#0d3850"];

const isDark = window.matchMedia("(prefers-color-scheme: dark)").matches;
/** The ground under everything, by the reader's wish for light or dark. */
export const GROUND = isDark
  ? { sea: "#172329", land: "#202c31", tints: ["#232f33", "#222e35", "#263034", "#202f30", "#262d33"], community: "#354248", street: "#4b5b61", district: "#7b8f94",
    city: "#9db0b4", names: ["#a3b3b6", "#b9c7c9", "#d5e0e1", "#eef4f4"], halo: "rgba(23,35,41,0.92)", stroke: "#172329" }
  : { sea: "#dbe5e8", land: "#f5f3ed", tints: ["#f6f3ea", "#f1f3ea", "#f6efe9", "#eef3ef", "#f4f1f0"], community: "#cfd3cc", street: "#b3beba", district: "#86989a",
    city: "#5d7479", names: ["#6b7a7d", "#4b5f64", "#2d454b", "#1d2b32"], halo: "rgba(255,255,255,0.92)", stroke: "#ffffff" };

export const UNKNOWN = isDark ? "#7c7f7d" : "#d3d0c6";
export const CAMERA = isDark ? "#7fb3dd" : "#123f63";
export const WEDGE = "#2f7fc1";
export const IMAGERY = isDark ? "#bb85dd" : "#8a4fb0";
export const ACCENT = isDark ? "#4fb3b3" : "#0b6468";
export const CHOSEN = "#ff6a00";
export const AREA = GROUND.district;

/** Steps of a measured property: from which value on, in which colour. */
export const HEIGHT_STEPS = [[0, "#dfe6c8"], [12, "#c2d79b"], [24, "#8fc18a"], [50, "#4ea58b"], [100, "#22808d"], [200, "#1d4f7c"]];
export const YEAR_STEPS = [[1900, "#8a6f93"], [1980, "#a5799b"], [1990, "#c48a9c"], [2000, "#dfa191"], [2010, "#edc18a"], [2020, "#f5e29a"]];

/** A MapLibre expression: the colour of `property`'s code, `UNKNOWN` for none. */
export const byCode = (property, colours) => ["match", ["get", property], ...Object.entries(colours).flat(), UNKNOWN];
/** A MapLibre expression: the colour of the step that `property`'s number reaches, `UNKNOWN` for none. */
export const byStep = (property, steps) => ["case", ["==", ["typeof", ["get", property]], "number"],
  ["step", ["get", property], steps[0][1], ...steps.slice(1).flat()], UNKNOWN];

/** How buildings may be coloured: property → MapLibre expression and legend. */
export const BUILDING_COLOURS = {
  use: { codes: USE_COLOURS },
  status: { codes: STATUS_COLOURS },
  height_m: { steps: HEIGHT_STEPS },
  year_built: { steps: YEAR_STEPS },
};
export const expressionOf = (property) => {
  const { codes, steps } = BUILDING_COLOURS[property];
  return codes ? byCode(property, codes) : byStep(property, steps);
};
