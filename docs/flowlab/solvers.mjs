/**
 * Solvers of dz/dt = v(z, t): from noise at t = 0 to data at t = 1 in S steps of equal length.
 *
 * They are the package's, in two dimensions: janus_minimal/flow.py (euler_step) and janus_minimal/solvers.py (midpoint).
 *
 * @module
 */

/** @typedef {import("./field.mjs").Point} Point */
/** @typedef {import("./field.mjs").Field} Field */
/** @typedef {(field: Field, z: Point, t: number, h: number) => Point} Solver One step of length h. */

/**
 * @param {Point} z
 * @param {Point} v
 * @param {number} h
 * @returns {Point}
 */
const move = (z, v, h) => [z[0] + h * v[0], z[1] + h * v[1]];

/** @type {Solver} The velocity at the beginning of the step is kept for all of it: order 1. */
export const euler = (field, z, t, h) => move(z, field(z, t), h);

/** @type {Solver} The velocity in the middle of the step, found by half an Euler step, is kept for all of it: order 2. */
export const midpoint = (field, z, t, h) => move(z, field(euler(field, z, t, h / 2), t + h / 2), h);

/** Each solver, with how often it asks for a velocity in one step. */
export const SOLVERS = { euler: { step: euler, evaluations: 1 }, midpoint: { step: midpoint, evaluations: 2 } };

/**
 * The places at all S + 1 times k / S. They are kept, because the broken line between them is what a sampler walks.
 *
 * @param {Field} field
 * @param {Point} start
 * @param {number} steps
 * @param {Solver} step
 * @returns {Point[]}
 */
export function path(field, start, steps, step) {
  const places = [start];
  for (let k = 0; k < steps; k++) places.push(step(field, places[k], k / steps, 1 / steps));
  return places;
}

/**
 * Where the walker is at time t: between two of its places it goes straight, at constant speed.
 *
 * @param {readonly Point[]} places
 * @param {number} t
 * @returns {Point}
 */
export function at(places, t) {
  const steps = places.length - 1;
  const k = Math.min(Math.floor(t * steps), steps - 1);
  const share = t * steps - k;
  const [from, to] = [places[k], places[k + 1]];
  return [from[0] + share * (to[0] - from[0]), from[1] + share * (to[1] - from[1])];
}
