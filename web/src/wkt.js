// Places as text: well-known text, GeoJSON and boxes, read and written. Longitude comes first.
const NUMBER = /^[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$/i;

export class BadPlace extends Error {
  /** `key` names the message that says what is wrong. */
  constructor(key) {
    super(key);
    this.key = key;
  }
}

/** A box as a Polygon. */
export const polygonOfBox = ([west, south, east, north]) => ({
  type: "Polygon",
  coordinates: [[[west, south], [east, south], [east, north], [west, north], [west, south]]],
});

const ring = (positions) => `(${positions.map((position) => position.slice(0, 2).map((value) => +value.toFixed(7)).join(" ")).join(",")})`;
const polygon = (rings) => `(${rings.map(ring).join(",")})`;

/** Well-known text of a Polygon or MultiPolygon. */
export function toWkt({ type, coordinates }) {
  return type === "Polygon" ? `POLYGON${polygon(coordinates)}` : `MULTIPOLYGON(${coordinates.map(polygon).join(",")})`;
}

/** Nested lists of positions of the text between the outer parentheses. */
function nested(text) {
  let at = 0;
  const fail = () => { throw new BadPlace("place.bad-wkt"); };
  function list() {
    if (text[at] !== "(") fail();
    at += 1;
    const found = [];
    while (at < text.length) {
      while (/\s/.test(text[at] ?? "")) at += 1;
      if (text[at] === "(") found.push(list());
      else {
        const end = text.slice(at).search(/[,)]/);
        if (end < 0) fail();
        const numbers = text.slice(at, at + end).trim().split(/\s+/);
        if (numbers.length < 2 || !numbers.every((one) => NUMBER.test(one))) fail();
        found.push(numbers.slice(0, 2).map(Number));
        at += end;
      }
      while (/\s/.test(text[at] ?? "")) at += 1;
      if (text[at] === ")") { at += 1; return found; }
      if (text[at] !== ",") fail();
      at += 1;
    }
    return fail();
  }
  const found = list();
  if (text.slice(at).trim()) fail();
  return found;
}

function fromWkt(text) {
  const [, type, rest] = /^(?:SRID=4326;|SRID=4490;)?\s*(POLYGON|MULTIPOLYGON)\s*(?:Z\s*)?(\(.*\))\s*$/is.exec(text) ?? [];
  if (!type) throw new BadPlace("place.bad-wkt");
  return { type: type.toUpperCase() === "POLYGON" ? "Polygon" : "MultiPolygon", coordinates: nested(rest) };
}

function fromGeoJson(text) {
  let value;
  try {
    value = JSON.parse(text);
  } catch {
    throw new BadPlace("place.bad-json");
  }
  const parts = [];
  const collect = (one) => {
    if (one?.type === "FeatureCollection") one.features?.forEach(collect);
    else if (one?.type === "Feature") collect(one.geometry);
    else if (one?.type === "GeometryCollection") one.geometries?.forEach(collect);
    else if (one?.type === "Polygon") parts.push(one.coordinates);
    else if (one?.type === "MultiPolygon") parts.push(...(one.coordinates ?? []));
    else throw new BadPlace("place.no-polygon");
  };
  collect(value);
  if (!parts.length) throw new BadPlace("place.no-polygon");
  return parts.length === 1 ? { type: "Polygon", coordinates: parts[0] } : { type: "MultiPolygon", coordinates: parts };
}

function check({ type, coordinates }) {
  const polygons = type === "Polygon" ? [coordinates] : coordinates;
  let corners = 0;
  for (const rings of polygons) {
    if (!Array.isArray(rings) || !rings.length) throw new BadPlace("place.no-polygon");
    for (const one of rings) {
      if (!Array.isArray(one) || one.length < 4) throw new BadPlace("place.no-ring");
      for (const [x, y] of one) {
        if (!Number.isFinite(x) || !Number.isFinite(y)) throw new BadPlace("place.no-ring");
        if (Math.abs(y) > 90 && Math.abs(x) <= 90) throw new BadPlace("place.latitude-first");
        if (Math.abs(x) > 180 || Math.abs(y) > 90) throw new BadPlace("place.not-degrees");
      }
      if (String(one[0].slice(0, 2)) !== String(one.at(-1).slice(0, 2))) one.push(one[0]);
      corners += one.length;
    }
  }
  if (corners > 10_000) throw new BadPlace("place.too-many");
}

/** What a person pasted, as a Polygon or MultiPolygon in degrees. Throws BadPlace. */
export function placeOfText(text) {
  const trimmed = text.trim();
  const numbers = trimmed.replace(/^(\[|bbox\s*[=:]\s*\[?)|\]$/gi, "").split(/[\s,]+/).filter(Boolean);
  let geometry;
  if (numbers.length === 4 && numbers.every((one) => NUMBER.test(one))) {
    const box = numbers.map(Number);
    if (box[0] >= box[2] || box[1] >= box[3]) throw new BadPlace("place.bad-box");
    geometry = polygonOfBox(box);
  } else {
    geometry = trimmed.startsWith("{") ? fromGeoJson(trimmed) : fromWkt(trimmed);
  }
  check(geometry);
  return geometry;
}
