/**
 * Numbers that look random and are the same for the same seed, so that a link shows everybody the same picture.
 *
 * @module
 */

/** @typedef {import("./field.mjs").Point} Point */

/**
 * Uniform numbers in [0, 1): mulberry32, a public-domain generator of 32 bits.
 *
 * @param {number} seed
 * @returns {() => number}
 */
export function uniform(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/**
 * Points drawn from N(0, I), by Box and Muller: a squared radius that is exponential, and an even angle.
 *
 * @param {number} count
 * @param {number} seed
 * @returns {Point[]}
 */
export function noise(count, seed) {
  const draw = uniform(seed);
  return Array.from({ length: count }, () => {
    const radius = Math.sqrt(-2 * Math.log(1 - draw()));
    const angle = 2 * Math.PI * draw();
    return [radius * Math.cos(angle), radius * Math.sin(angle)];
  });
}
