/**
 * What can be said of a bundle of paths in one number.
 *
 * @module
 */

/** @typedef {import("./field.mjs").Point} Point */

/** @type {(a: Point, b: Point) => number} */
const distance = (a, b) => Math.hypot(a[0] - b[0], a[1] - b[1]);

/** @type {(numbers: number[]) => number} */
const mean = (numbers) => numbers.reduce((sum, number) => sum + number, 0) / numbers.length;

/**
 * How far paths are from straight lines walked at constant speed: the mean of |(z_1 - z_0) - v|^2, divided by the mean of |z_1 - z_0|^2.
 *
 * 0 is straight: then one Euler step is as good as a hundred. The velocity v is that of each piece of the path.
 *
 * @param {readonly Point[][]} paths Places at equal distances in time.
 * @returns {number}
 */
export function straightness(paths) {
  const chords = paths.map((places) => subtract(places[places.length - 1], places[0]));
  const off = paths.flatMap((places, p) =>
    places.slice(1).map((place, k) => {
      const piece = subtract(place, places[k]);
      const steps = places.length - 1;
      return (chords[p][0] - steps * piece[0]) ** 2 + (chords[p][1] - steps * piece[1]) ** 2;
    }),
  );
  return mean(off) / mean(chords.map((chord) => chord[0] ** 2 + chord[1] ** 2));
}

/** @type {(a: Point, b: Point) => Point} */
const subtract = (a, b) => [a[0] - b[0], a[1] - b[1]];

/**
 * The mean distance between two lists of places, one by one: the error of a solver, if the second are exact.
 *
 * @param {readonly Point[]} found
 * @param {readonly Point[]} exact
 */
export const apart = (found, exact) => mean(found.map((place, i) => distance(place, exact[i])));

/**
 * The mean distance from each place to the nearest data point: how much the ends look like data, whichever they are.
 *
 * @param {readonly Point[]} places
 * @param {readonly Point[]} data
 */
export const fromData = (places, data) =>
  mean(places.map((place) => Math.min(...data.map((point) => distance(place, point)))));
