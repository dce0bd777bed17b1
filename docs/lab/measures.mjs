/**
 * Numbers of a step that the curves show.
 *
 * @module
 */

/** @typedef {Float32Array} Latent */

/** @type {(a: Latent, b: Latent) => number} */
const dot = (a, b) => a.reduce((sum, value, i) => sum + value * b[i], 0);

/** @type {(a: Latent) => number} */
export const norm = (a) => Math.sqrt(dot(a, a));

/** @type {(a: Latent, b: Latent) => Latent} */
export const difference = (a, b) => a.map((value, i) => value - b[i]);

/**
 * 1 where two velocities point the same way: then the path is straight.
 *
 * @type {(a: Latent, b: Latent) => number}
 */
export const cosine = (a, b) => dot(a, b) / (norm(a) * norm(b));
