// What the page shows, all of it in the address after #: a link, a reload and the back button give the same view.
const DEFAULTS = {
  map: "", // zoom/latitude/longitude/bearing/pitch
  on: "", // collections that are drawn, comma separated; "" for the usual ones, "none" for none
  tab: "layers",
  about: "buildings", // the collection that is asked about
  place: "", // area:<code>, bbox:<w,s,e,n>, wkt:<text>, feature:<collection>/<id>
  rows: "", // the filter as rows of the form, JSON; empty where it was written by hand
  filter: "", // the same as CQL2
  by: "", // the key of the groups
  colour: "", // what buildings are coloured by; "" for their use
  date: "", // valid time, a day
  known: "", // recorded time, a day or an instant
  sort: "",
  table: "", // "1" while the table is open
  record: "", // <collection>/<id>
  vs: "", // what is compared: area:<code> or date:<day>
};
const listeners = [];
let state = read();

function read() {
  const given = new URLSearchParams(location.hash.slice(1));
  const found = { ...DEFAULTS };
  for (const name of Object.keys(DEFAULTS)) if (given.has(name)) found[name] = given.get(name);
  if (given.has("area")) Object.assign(found, { place: `area:${given.get("area")}`, tab: "ask" }); // links made before there were other places
  return found;
}

function written(values) {
  const parts = Object.entries(values).filter(([name, value]) => value !== DEFAULTS[name]);
  // slashes, commas and colons stay as they are: they are legal in a fragment and links stay readable
  return `#${parts.map(([name, value]) => `${name}=${encodeURIComponent(value).replace(/%(2F|2C|3A)/g, decodeURIComponent)}`).join("&")}`;
}

const addressOf = (values) => `${location.pathname}${location.search}${written(values)}`;

/** The values now. */
export const current = () => state;
/** The full address of this view. */
export const permalink = () => new URL(addressOf(state), location.href).href;

function take(next) {
  const changed = Object.keys(DEFAULTS).filter((name) => next[name] !== state[name]);
  state = next;
  if (changed.length) for (const { names, listener } of listeners) if (changed.some((name) => names.includes(name))) listener(state, changed);
}

/** Takes new values; `isStep` makes a step that the back button undoes. Listeners of changed names are called. */
export function change(values, { isStep = true } = {}) {
  const next = { ...state, ...values };
  if (Object.keys(values).every((name) => next[name] === state[name])) return;
  history[isStep ? "pushState" : "replaceState"](null, "", addressOf(next));
  take(next);
}

/** Calls `listener(state, changed names)` whenever one of `names` changes, by the page or by the back button. */
export const whenever = (names, listener) => listeners.push({ names, listener });

for (const event of ["popstate", "hashchange"]) window.addEventListener(event, () => take(read()));
