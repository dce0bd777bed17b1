/**
 * Reflow: pair each noise with its own end instead of a random data point, and take the mean velocity again.
 *
 * A flow T carries every noise z_0 to one data point T(z_0). Reflow joins each noise with its own end by a straight line. What is
 * the mean velocity of *these* lines? Step 1 of field.mjs holds as before: a line through z that ends in x_i has the noise
 * z_0 = (z - t x_i) / (1 - t). But now this line exists only if T carries that noise to x_i. So the shares become
 *
 *     w_i  proportional to  exp(-|z_0|^2 / 2) [T(z_0) = x_i]
 *
 * and v = (sum_i w_i x_i - z) / (1 - t) as before. No network and no kernel between the pairs: over all noises, not over a sample of them, this is
 * the field that a perfect network would learn. Two things are numerical:
 *
 * - T has no formula. It is computed once on a grid of noises, with many midpoint steps, and read between the grid's nodes as the share of
 *   the neighbouring nodes that go to x_i. The border between two basins is therefore blurred by one cell (CELL).
 * - Where no line passes (a gap that reflow leaves between the basins) there is no mean. FAINT keeps the shares numbers there: the old
 *   field, which a walker meets only if it left its lines by an error of the solver.
 *
 * Doing it twice is the same with T of the rectified flow.
 *
 * @module
 */

import { midpoint, path } from "./solvers.mjs";

/** @typedef {import("./field.mjs").Point} Point */
/** @typedef {import("./field.mjs").Field} Field */
/** @typedef {import("./field.mjs").LogPreference} LogPreference */

const HALF = 4; // the grid covers -4 .. 4; only one noise in 10,000 lies outside, and counts as lying on the border
const NODES = 81; // on each side
const CELL = (2 * HALF) / (NODES - 1);
const STEPS = 24; // midpoint steps from noise to data
const FAINT = 1e-9;

/**
 * The index of the data point that is nearest to z.
 *
 * @param {Point} z
 * @param {readonly Point[]} data
 */
export function nearest(z, data) {
  const distances = data.map((x) => Math.hypot(z[0] - x[0], z[1] - x[1]));
  return distances.indexOf(Math.min(...distances));
}

/**
 * The data point to which the flow of a field carries each noise of the grid, row by row.
 *
 * It takes a second or so. A generator, so that the caller decides when to go on: the page stays alive between two rows.
 *
 * @param {Field} field
 * @param {readonly Point[]} data
 * @returns {Generator<number, Int16Array, void>} Yields the share that is done.
 */
export function* basins(field, data) {
  const ends = new Int16Array(NODES * NODES);
  for (let row = 0; row < NODES; row++) {
    for (let column = 0; column < NODES; column++) {
      const places = path(field, [column * CELL - HALF, row * CELL - HALF], STEPS, midpoint);
      ends[row * NODES + column] = nearest(places[STEPS], data);
    }
    yield (row + 1) / NODES;
  }
  return ends;
}

/**
 * Turn what `basins` returned into the pairing of a reflow, for `fieldOf`.
 *
 * @param {Int16Array} ends
 * @returns {LogPreference}
 */
export function pairedWithOwnEnd(ends) {
  return (noise, i) => {
    const [column, right] = cell(noise[0]);
    const [row, upper] = cell(noise[1]);
    const first = row * NODES + column;
    let share = 0;
    if (ends[first] === i) share += (1 - right) * (1 - upper);
    if (ends[first + 1] === i) share += right * (1 - upper);
    if (ends[first + NODES] === i) share += (1 - right) * upper;
    if (ends[first + NODES + 1] === i) share += right * upper;
    return Math.log(share + FAINT);
  };
}

/**
 * The grid's node before a coordinate, and how far on towards the next node it lies, from 0 to 1.
 *
 * @param {number} coordinate
 * @returns {[node: number, onwards: number]}
 */
function cell(coordinate) {
  const place = Math.min(Math.max((coordinate + HALF) / CELL, 0), NODES - 1);
  const node = Math.min(Math.floor(place), NODES - 2);
  return [node, place - node];
}
