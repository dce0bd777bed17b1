/**
 * The flow lab's picture at one moment.
 *
 * @module
 */

import { denoised, noiseOf } from "./field.mjs";
import { at } from "./solvers.mjs";

/** @typedef {import("./field.mjs").Point} Point */
/** @typedef {import("./field.mjs").Field} Field */
/** @typedef {import("./plane.mjs").Plane} Plane */
/** @typedef {import("./state.mjs").State} State */
/** @typedef {import("./bundle.mjs").Bundle} Bundle */
/** @typedef {import("./field.mjs").LogPreference} LogPreference */
/**
 * @typedef {object} Flow One round's field: the first, or one that was rectified.
 * @property {Field} field
 * @property {LogPreference} [logPreference] Which noise is paired with which point; the first flow has none.
 */

const ARROWS = 15; // on each side
const DURATION = 0.15; // an arrow shows how far its place would move in this time ..
const LONGEST = 0.85; // .. but is never longer than this share of the way to its neighbour
export const LATEST = 0.985; // at t = 1 the field is infinite everywhere but in the data: arrows stop a little before
const SEEN = Math.log(0.05); // a line that at least one in twenty noises nearby would walk

/**
 * Draw the state at its time.
 *
 * @param {Plane} plane
 * @param {State} state
 * @param {Bundle} bundle
 * @param {Flow} flow
 * @param {number} chosen The data point that has the ring, or -1 for the red noise, or NaN for none.
 */
export function draw(plane, state, bundle, flow, chosen) {
  const [ink, noise, data, red] = ["ink", "noise", "data", "red"].map((name) => plane.colour(`lab-${name}`));
  const [own, ...others] = state.view === "paths" ? bundle.paths : bundle.lines;
  plane.clear();
  plane.tracks(others, 1, noise, { alpha: 0.3 });
  if (state.view === "paths") arrows(plane, state, flow, ink);
  plane.dots(state.points, 5, data);
  if (chosen >= 0) plane.dots([state.points[chosen]], 9, ink, { hollow: true });
  plane.dots(
    others.map((places) => at(places, state.t)),
    3,
    noise,
  );
  drawRed(plane, state, own, flow, red);
  if (chosen === -1) plane.dots([state.red], 9, ink, { hollow: true });
}

/**
 * One path in full: where each step began, where it is now, and the prediction that it walks towards.
 *
 * @param {Plane} plane
 * @param {State} state
 * @param {Point[]} places
 * @param {Flow} flow
 * @param {string} colour
 */
function drawRed(plane, state, places, flow, colour) {
  const now = at(places, state.t);
  plane.tracks([places], 2, colour);
  plane.dots(places, 2.5, colour);
  plane.dots([state.red], 5, colour, { hollow: true });
  if (state.view === "paths" && state.t < LATEST) {
    const end = denoised(now, state.t, state.points, flow.logPreference);
    plane.tracks([[now, end]], 1.5, colour, { dash: [2, 4] });
    plane.dots([end], 6, colour, { hollow: true });
  }
  plane.dots([now], 6, colour);
}

/**
 * The velocity at each place of a grid, except where no line passes.
 *
 * @param {Plane} plane
 * @param {State} state
 * @param {Flow} flow
 * @param {string} colour
 */
function arrows(plane, state, flow, colour) {
  const t = Math.min(state.t, LATEST);
  const spacing = (2 * plane.half) / ARROWS;
  for (let row = 0; row < ARROWS; row++)
    for (let column = 0; column < ARROWS; column++) {
      const place = /** @type {Point} */ ([(column + 0.5) * spacing - plane.half, (row + 0.5) * spacing - plane.half]);
      if (!someLinePasses(place, t, state.points, flow)) continue;
      const v = flow.field(place, t);
      const scale = Math.min(DURATION, (LONGEST * spacing) / Math.hypot(...v));
      plane.arrow(place, [place[0] + scale * v[0], place[1] + scale * v[1]], 1.2, colour, 0.5);
    }
}

/** @type {(z: Point, t: number, data: readonly Point[], flow: Flow) => boolean} */
const someLinePasses = (z, t, data, { logPreference }) =>
  !logPreference || data.some((x, i) => logPreference(noiseOf(z, t, x), i) > SEEN);
