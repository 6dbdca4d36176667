// Geometry in degrees, good for a city: metres are taken on a plane at the place.
const METRES_PER_DEGREE = 111_320;

/** The sector a camera sees as a Polygon ring, or null where its direction is not known. Angles are clockwise from north. */
export function fieldOfView([longitude, latitude], { direction_deg: direction, field_of_view_deg: angle, range_m: range }) {
  const width = angle ?? 60;
  if (direction == null && width < 360) return null;
  const reach = (range || 40) / METRES_PER_DEGREE;
  const shrink = Math.cos((latitude * Math.PI) / 180);
  const steps = Math.max(4, Math.ceil(width / 6));
  const ring = width >= 360 ? [] : [[longitude, latitude]];
  for (let i = 0; i <= steps; i += 1) {
    const bearing = (((direction ?? 0) - width / 2 + (width * i) / steps) * Math.PI) / 180;
    ring.push([longitude + (Math.sin(bearing) * reach) / shrink, latitude + Math.cos(bearing) * reach]);
  }
  ring.push(ring[0]);
  return ring;
}

/** A GeoJSON Polygon of corners in drawing order: closed, and counter-clockwise as RFC 7946 3.1.6 asks. */
export function polygonOf(corners) {
  const twice = corners.reduce((sum, [x, y], i) => {
    const [nextX, nextY] = corners[(i + 1) % corners.length];
    return sum + x * nextY - nextX * y;
  }, 0);
  const ring = twice < 0 ? [...corners].reverse() : [...corners];
  return { type: "Polygon", coordinates: [[...ring, ring[0]]] };
}

const side = ([ax, ay], [bx, by], [cx, cy]) => Math.sign((bx - ax) * (cy - ay) - (by - ay) * (cx - ax));

/** True when two sides of the closed line through `corners` cross: the API takes simple polygons only. */
export function crossesItself(corners) {
  const count = corners.length;
  for (let i = 0; i < count; i += 1) {
    for (let j = i + 2; j < count; j += 1) {
      if (i === 0 && j === count - 1) continue; // neighbours share a corner
      const [a, b, c, d] = [corners[i], corners[i + 1], corners[j], corners[(j + 1) % count]];
      if (side(a, b, c) * side(a, b, d) < 0 && side(c, d, a) * side(c, d, b) < 0) return true;
    }
  }
  return false;
}

function* positions(coordinates) {
  if (typeof coordinates[0] === "number") yield coordinates;
  else for (const part of coordinates) yield* positions(part);
}

/** [[west, south], [east, north]] of a geometry, or null for an empty one. */
export function boundsOf(geometry) {
  const box = [[Infinity, Infinity], [-Infinity, -Infinity]];
  const parts = geometry?.type === "GeometryCollection" ? geometry.geometries : [geometry];
  for (const part of parts) {
    for (const [x, y] of positions(part?.coordinates ?? [])) {
      box[0] = [Math.min(box[0][0], x), Math.min(box[0][1], y)];
      box[1] = [Math.max(box[1][0], x), Math.max(box[1][1], y)];
    }
  }
  return Number.isFinite(box[0][0]) ? box : null;
}

/** Where to write an area's name: the centroid of its largest ring. */
export function labelPoint(geometry) {
  const polygons = geometry.type === "Polygon" ? [geometry.coordinates] : geometry.coordinates;
  let best = { size: -1 };
  for (const [ring] of polygons) {
    let [twice, x, y] = [0, 0, 0];
    const [originX, originY] = ring[0]; // near the ring, or the products lose their digits
    for (let i = 0; i < ring.length - 1; i += 1) {
      const [ax, ay, bx, by] = [ring[i][0] - originX, ring[i][1] - originY, ring[i + 1][0] - originX, ring[i + 1][1] - originY];
      const cross = ax * by - bx * ay;
      twice += cross;
      x += (ax + bx) * cross;
      y += (ay + by) * cross;
    }
    const size = Math.abs(twice);
    if (size > best.size) best = { size, point: twice ? [originX + x / (3 * twice), originY + y / (3 * twice)] : ring[0] };
  }
  return best.point;
}
