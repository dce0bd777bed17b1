/**
 * The data to begin with.
 *
 * @module
 */

/** @typedef {import("./field.mjs").Point} Point */

/** How many points a preset may have: each can be dragged, and each costs time in every evaluation of the field. */
const RING = 12;
const MOON = 20;

/** @returns {Point[]} The worked example of the chapter on the flow, -2 and 2, on the horizontal axis. */
const two = () => [
  [-2, 0],
  [2, 0],
];

/** @returns {Point[]} */
const ring = () =>
  Array.from({ length: RING }, (_, i) => {
    const angle = (2 * Math.PI * i) / RING;
    return [2 * Math.cos(angle), 2 * Math.sin(angle)];
  });

/** @returns {Point[]} The half moons of notebook 01, with fewer points. */
const moons = () => {
  const upper = Array.from({ length: MOON }, (_, i) => {
    const angle = (Math.PI * i) / (MOON - 1);
    return /** @type {Point} */ ([2 * Math.cos(angle) - 1, 2 * Math.sin(angle) - 0.5]);
  });
  return [...upper, ...upper.map(([x, y]) => /** @type {Point} */ ([-x, -y]))];
};

/** @returns {Point[]} Four points in each dark field of a board of four by four. */
const checkerboard = () => {
  /** @type {Point[]} */
  const points = [];
  for (let row = 0; row < 4; row++)
    for (let column = row % 2; column < 4; column += 2)
      for (const [x, y] of [
        [-0.25, -0.25],
        [0.25, -0.25],
        [-0.25, 0.25],
        [0.25, 0.25],
      ])
        points.push([column - 1.5 + x, row - 1.5 + y]);
  return points;
};

/** @type {Readonly<Record<string, () => Point[]>>} */
export const PRESETS = { two, ring, moons, checkerboard };
