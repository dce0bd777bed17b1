/**
 * One colour scale for all latents and velocities: orange below zero, purple above, pale at zero (ColorBrewer's PuOr).
 *
 * @module
 */

/** @typedef {[red: number, green: number, blue: number]} Colour */

/** The scale ends here: a standard normal latent leaves it once in 16,000 numbers. */
export const LIMIT = 4;

/** @type {readonly Colour[]} From -LIMIT to LIMIT. */
const ANCHORS = [
  [127, 59, 8],
  [179, 88, 6],
  [224, 130, 20],
  [253, 184, 99],
  [254, 224, 182],
  [247, 247, 247],
  [216, 218, 235],
  [178, 171, 210],
  [128, 115, 172],
  [84, 39, 136],
  [45, 0, 75],
];

/**
 * @param {number} value
 * @returns {Colour}
 */
export function colour(value) {
  const place = Math.min(Math.max((value / LIMIT + 1) / 2, 0), 1) * (ANCHORS.length - 1);
  const below = Math.min(Math.floor(place), ANCHORS.length - 2);
  const mixed = ANCHORS[below].map((channel, i) => channel + (place - below) * (ANCHORS[below + 1][i] - channel));
  return /** @type {Colour} */ (mixed);
}

/** The scale as a gradient of CSS. */
export const GRADIENT = `linear-gradient(to right, ${ANCHORS.map((anchor) => `rgb(${anchor})`).join(", ")})`;
