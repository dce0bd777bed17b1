/**
 * Rectified flow, as in the package's flow.py: the grid of times, one Euler step, guidance.
 *
 * A latent is a Float32Array. Times are rounded to float32, as Python's are, so that the lab takes Python's steps.
 *
 * @module
 */

/** @typedef {Float32Array} Latent */

/**
 * The S + 1 times between which S steps are taken: u = k / S, t = u / (u + shift (1 - u)).
 *
 * @param {number} steps
 * @param {number} shift 1 is the uniform grid; above 1, more of the steps are early.
 * @returns {Float32Array}
 */
export function timeGrid(steps, shift) {
  const even = Float32Array.from({ length: steps + 1 }, (_, k) => k / steps);
  return even.map((u) => u / (u + shift * (1 - u)));
}

/**
 * z at tNext, as if the velocity v stayed constant: z + (tNext - t) v.
 *
 * @param {Latent} z
 * @param {Latent} v
 * @param {number} t
 * @param {number} tNext
 * @returns {Latent}
 */
export const eulerStep = (z, v, t, tNext) => z.map((value, i) => value + (tNext - t) * v[i]);

/**
 * Classifier-free guidance: w vCond - (w - 1) vUncond.
 *
 * @param {Latent} vCond
 * @param {Latent} vUncond
 * @param {number} w
 * @returns {Latent}
 */
export const guide = (vCond, vUncond, w) => vCond.map((value, i) => w * value - (w - 1) * vUncond[i]);

/**
 * Where the path would end if the velocity stayed as it is: z + (1 - t) v.
 *
 * @param {Latent} z
 * @param {Latent} v
 * @param {number} t
 * @returns {Latent}
 */
export const denoised = (z, v, t) => eulerStep(z, v, t, 1);
