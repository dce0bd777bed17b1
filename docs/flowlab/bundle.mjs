/**
 * Everything that is drawn of one field, computed once: many noises, their lines, their paths, and what can be said of them.
 *
 * @module
 */

import { apart, fromData, straightness } from "./measure.mjs";
import { noise, uniform } from "./random.mjs";
import { nearest } from "./reflow.mjs";
import { midpoint, path, SOLVERS } from "./solvers.mjs";

/** @typedef {import("./field.mjs").Point} Point */
/** @typedef {import("./field.mjs").Field} Field */
/** @typedef {import("./state.mjs").State} State */
/**
 * @typedef {object} Bundle The first track of each kind is the red one.
 * @property {Point[][]} lines From each noise to the data point that it is paired with.
 * @property {Point[][]} paths What the chosen solver walks.
 * @property {{ nfe: number, straightness: number, error: number, fromData: number }} numbers
 */

const NOISES = 80;
const FINE = 64; // midpoint steps that stand for the exact path

/**
 * The noises of a state, the red one first.
 *
 * @param {State} state
 * @returns {Point[]}
 */
export const startsOf = (state) => [state.red, ...noise(NOISES, state.seed)];

/**
 * The exact paths of a field, near enough: they depend on no solver that the reader chose.
 *
 * @param {Field} field
 * @param {readonly Point[]} starts
 */
export const exactPaths = (field, starts) => starts.map((start) => path(field, start, FINE, midpoint));

/**
 * The lines of training. The first flow knows random pairs; a rectified one knows each noise with its end in the flow before.
 *
 * @param {State} state
 * @param {readonly Point[]} starts
 * @param {Point[][] | undefined} before The exact paths of the flow before, if there was one.
 * @returns {Point[][]}
 */
export function linesOf(state, starts, before) {
  const draw = uniform(state.seed + 1_000_000);
  const partner = (/** @type {number} */ n) =>
    before ? nearest(before[n][FINE], state.points) : Math.floor(draw() * state.points.length);
  return starts.map((start, n) => [start, state.points[partner(n)]]);
}

/**
 * @param {State} state
 * @param {Field} field
 * @param {Point[][]} exact The exact paths of this field.
 * @param {Point[][]} [before] Those of the flow before.
 * @returns {Bundle}
 */
export function bundleOf(state, field, exact, before) {
  const { step, evaluations } = SOLVERS[state.solver];
  const starts = startsOf(state);
  const paths = starts.map((start) => path(field, start, state.steps, step));
  const ends = paths.map((places) => places[state.steps]);
  return {
    paths,
    lines: linesOf(state, starts, before),
    numbers: {
      nfe: state.steps * evaluations,
      straightness: straightness(exact),
      error: apart(
        ends,
        exact.map((places) => places[FINE]),
      ),
      fromData: fromData(ends, state.points),
    },
  };
}
