/**
 * Guidance in the plane of two velocities.
 *
 * Two vectors and their origin lie in one plane, whatever the number of dimensions. So two lengths and the cosine between
 * them are enough to draw both, and every mixture of both, without losing anything.
 *
 * @module
 */

/** @typedef {import("./field.mjs").Point} Point */
/** @typedef {readonly [uncond: number, cond: number, cosine: number]} Measured Two lengths, and the cosine of the angle between. */
/** @typedef {{ uncond: Point, cond: Point }} Tips */

/**
 * Lay the velocity without the prompt along the horizontal axis.
 *
 * @param {Measured} measured
 * @returns {Tips}
 */
export const tipsOf = ([uncond, cond, cosine]) => ({
  uncond: [uncond, 0],
  cond: [cond * cosine, cond * Math.sqrt(1 - cosine ** 2)],
});

/**
 * The guided velocity: from the tip without the prompt, w times the difference.
 *
 * @param {Tips} tips
 * @param {number} w
 * @returns {Point}
 */
export const guide = ({ uncond, cond }, w) => [
  uncond[0] + w * (cond[0] - uncond[0]),
  uncond[1] + w * (cond[1] - uncond[1]),
];

/**
 * The weight at which the guided velocity ends nearest to a place: for a reader who points at the line.
 *
 * @param {Tips} tips
 * @param {Point} place
 * @returns {number}
 */
export function weightAt({ uncond, cond }, place) {
  const [dx, dy] = [cond[0] - uncond[0], cond[1] - uncond[1]];
  return ((place[0] - uncond[0]) * dx + (place[1] - uncond[1]) * dy) / (dx ** 2 + dy ** 2);
}
