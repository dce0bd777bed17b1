/**
 * The noise of a seed: Python's for the seeds that are kept in a file, the page's own for all others.
 *
 * @module
 */

import { uniform } from "../flowlab/random.mjs";

/** @typedef {import("./flow.mjs").Latent} Latent */

/**
 * @param {number} seed
 * @param {Float32Array} kept The noise of seeds 0, 1, 2, ... one after the other.
 * @param {number} size Numbers in one latent.
 * @returns {Latent}
 */
export const noiseOf = (seed, kept, size) =>
  (seed + 1) * size <= kept.length ? kept.slice(seed * size, (seed + 1) * size) : gaussian(seed, size);

/**
 * Numbers from N(0, 1) by Box and Muller's formula. They look like Python's, but are others.
 *
 * @param {number} seed
 * @param {number} size
 * @returns {Latent}
 */
export function gaussian(seed, size) {
  const draw = uniform(seed);
  return Float32Array.from(
    { length: size },
    () => Math.sqrt(-2 * Math.log(1 - draw())) * Math.cos(2 * Math.PI * draw()),
  );
}
