/**
 * Which things does a picture show? As in the package's shapes/score.py, from the pixels alone.
 *
 * 1. Pixels that differ from the paper are ink, and ink that touches is one thing.
 * 2. Its colour is the palette's nearest to the median of its inside.
 * 3. Its coverage, which counts a pixel at the edge by a fraction, gives area and centre.
 * 4. Each of the five outlines is drawn with this area and centre; the one that overlaps best is the shape.
 *
 * @module
 */

/** @typedef {import("./facts.mjs").World} World */
/** @typedef {{ colour: string, shape: string, x: number, y: number }} Thing */

const UNKNOWN = "unknown";
const SAMPLES = 4; // in a pixel, each way

/** @type {(a: ArrayLike<number>, b: ArrayLike<number>) => number} */
const distance = (a, b) => Math.hypot(a[0] - b[0], a[1] - b[1], a[2] - b[2]);

/** @type {(numbers: number[]) => number} */
function median(numbers) {
  const sorted = numbers.toSorted((a, b) => a - b);
  const half = sorted.length >> 1;
  return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}

/**
 * @param {Uint8ClampedArray} pixels Red, green, blue and 255, row by row.
 * @param {World} world
 * @returns {Thing[]}
 */
export function detect(pixels, world) {
  const side = Math.sqrt(pixels.length / 4);
  const rgb = Array.from({ length: side * side }, (_, i) => [...pixels.subarray(4 * i, 4 * i + 3)]);
  const ink = rgb.map((colour) => distance(colour, world.paper) > world.ink);
  return components(ink, side)
    .filter((component) => component.size > world.speck)
    .map((component) => measure(rgb, component, side, world));
}

/**
 * Sets of ink that touch, at a corner too.
 *
 * @param {boolean[]} ink
 * @param {number} side
 * @returns {Set<number>[]}
 */
export function components(ink, side) {
  const left = new Set(ink.flatMap((is, i) => (is ? [i] : [])));
  const found = [];
  for (const first of left) {
    const component = new Set([first]);
    left.delete(first);
    for (const i of component) for (const j of neighbours(i, side, true)) if (left.delete(j)) component.add(j);
    found.push(component);
  }
  return found;
}

/**
 * @param {number} i
 * @param {number} side
 * @param {boolean} corners
 */
function neighbours(i, side, corners) {
  const [x, y] = [i % side, Math.floor(i / side)];
  const around = [];
  for (let dy = -1; dy <= 1; dy++)
    for (let dx = -1; dx <= 1; dx++)
      if (
        (corners ? dx || dy : Math.abs(dx) + Math.abs(dy) === 1) &&
        x + dx >= 0 &&
        x + dx < side &&
        y + dy >= 0 &&
        y + dy < side
      )
        around.push(i + dy * side + dx);
  return around;
}

/**
 * @param {number[][]} rgb
 * @param {Set<number>} component
 * @param {number} side
 * @param {World} world
 * @returns {Thing}
 */
function measure(rgb, component, side, world) {
  const inside = [...component].filter((i) => {
    const around = neighbours(i, side, false);
    return around.length === 4 && around.every((j) => component.has(j));
  });
  const body = (inside.length ? inside : [...component]).map((i) => rgb[i]);
  const own = [0, 1, 2].map((channel) => median(body.map((colour) => colour[channel])));
  const alpha = coverageOf(rgb, component, side, own, world.paper);
  const area = alpha.reduce((sum, share) => sum + share);
  const x = alpha.reduce((sum, share, i) => sum + share * ((i % side) + 0.5), 0) / area;
  const y = alpha.reduce((sum, share, i) => sum + share * (Math.floor(i / side) + 0.5), 0) / area;
  return { colour: nameOf(own, world), shape: shapeOf(alpha, { x, y, size: Math.sqrt(area) }, side, world), x, y };
}

/**
 * @param {number[]} own
 * @param {World} world
 */
function nameOf(own, { palette, offColour }) {
  const [nearest] = Object.entries(palette).toSorted(([, a], [, b]) => distance(own, a) - distance(own, b));
  return distance(own, nearest[1]) <= offColour ? nearest[0] : UNKNOWN;
}

/**
 * The fraction of each pixel that the thing covers: where its colour lies between the paper's and the thing's own.
 *
 * @param {number[][]} rgb
 * @param {Set<number>} component
 * @param {number} side
 * @param {number[]} own
 * @param {number[]} paper
 */
function coverageOf(rgb, component, side, own, paper) {
  const ink = own.map((value, channel) => value - paper[channel]);
  const length = ink.reduce((sum, value) => sum + value * value, 0);
  const wide = new Set([...component].flatMap((i) => [i, ...neighbours(i, side, false)]));
  return rgb.map((colour, i) => {
    if (!wide.has(i)) return 0;
    const along = ink.reduce((sum, value, channel) => sum + value * (colour[channel] - paper[channel]), 0) / length;
    return Math.min(Math.max(along, 0), 1);
  });
}

/**
 * @param {number[]} alpha
 * @param {{ x: number, y: number, size: number }} place
 * @param {number} side
 * @param {World} world
 */
function shapeOf(alpha, place, side, { outlines, poorMatch }) {
  const matches = Object.entries(outlines).map(([shape, outline]) => ({
    shape,
    overlap: overlap(alpha, drawn(outline, place, side)),
  }));
  const best = matches.reduce((a, b) => (b.overlap > a.overlap ? b : a));
  return best.overlap >= poorMatch ? best.shape : UNKNOWN;
}

/** @type {(a: number[], b: number[]) => number} Intersection over union. */
const overlap = (a, b) =>
  a.reduce((sum, value, i) => sum + Math.min(value, b[i]), 0) /
  a.reduce((sum, value, i) => sum + Math.max(value, b[i]), 0);

/**
 * The fraction of each pixel that an outline covers.
 *
 * @param {[number, number][]} outline Of area 1, around the origin.
 * @param {{ x: number, y: number, size: number }} place
 * @param {number} side
 */
function drawn(outline, { x, y, size }, side) {
  const points = outline.map(([u, v]) => /** @type {[number, number]} */ ([x + size * u, y + size * v]));
  return Array.from({ length: side * side }, (_, i) => {
    const [column, row] = [i % side, Math.floor(i / side)];
    if (Math.hypot(column - x, row - y) > 1.5 * size) return 0;
    let hits = 0;
    for (let a = 0; a < SAMPLES; a++)
      for (let b = 0; b < SAMPLES; b++)
        if (within(column + (a + 0.5) / SAMPLES, row + (b + 0.5) / SAMPLES, points)) hits++;
    return hits / SAMPLES ** 2;
  });
}

/**
 * Whether a point lies within a polygon: a ray from it crosses the outline an odd number of times.
 *
 * @param {number} x
 * @param {number} y
 * @param {[number, number][]} points
 */
function within(x, y, points) {
  let odd = false;
  for (let i = 0, j = points.length - 1; i < points.length; j = i++) {
    const [[xi, yi], [xj, yj]] = [points[i], points[j]];
    if (yi > y !== yj > y && x < ((xj - xi) * (y - yi)) / (yj - yi) + xi) odd = !odd;
  }
  return odd;
}
