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

export const UNKNOWN = "#d3d0c6";
export const CAMERA = "#123f63";
export const WEDGE = "#2f7fc1";
export const IMAGERY = "#8a4fb0";
export const ACCENT = "#0b6468";
export const CHOSEN = "#ff6a00";

/** A MapLibre expression: the colour of `property`'s code, `UNKNOWN` for none. */
export const byCode = (property, colours) => ["match", ["get", property], ...Object.entries(colours).flat(), UNKNOWN];
