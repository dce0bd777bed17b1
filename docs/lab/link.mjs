/**
 * The whole state of the lab in the link, so that a friend sees the same.
 *
 * @module
 */

import { BUGS } from "./bugs.mjs";
import { SOLVERS } from "./solvers.mjs";

/**
 * @typedef {import("./run.mjs").Settings & { bug: string, frame: number, layer: number }} State
 * `frame` is the step that is shown, from 0; -1 is the last.
 */

/** @type {Readonly<State>} */
export const FIRST = {
  caption: "a red circle left of a blue square",
  seed: 0,
  weight: 2,
  steps: 30,
  solver: "euler",
  shift: 1,
  bug: "",
  frame: -1,
  layer: 5,
};

/** @type {Readonly<Record<string, [least: number, most: number, whole: boolean]>>} */
export const RANGES = {
  seed: [0, 2 ** 31 - 1, true],
  weight: [0, 8, false],
  steps: [1, 50, true],
  shift: [1, 5, false],
  frame: [-1, 49, true],
  layer: [0, 5, true],
};

/**
 * @param {State} state
 * @returns {string}
 */
export const toLink = (state) =>
  new URLSearchParams(Object.entries(state).map(([name, value]) => [name, String(value)])).toString();

/**
 * What a link says. Where it says nothing, or nothing that can be, the first state holds.
 *
 * @param {string} link
 * @returns {State}
 */
export function fromLink(link) {
  const said = new URLSearchParams(link);
  const numbers = Object.keys(RANGES).map((name) => [name, numberOf(said.get(name), name)]);
  return {
    ...FIRST,
    ...Object.fromEntries(numbers.filter(([, value]) => value !== undefined)),
    caption: (said.get("caption") ?? FIRST.caption).slice(0, 200),
    solver: Object.hasOwn(SOLVERS, said.get("solver") ?? "") ? String(said.get("solver")) : FIRST.solver,
    bug: Object.hasOwn(BUGS, said.get("bug") ?? "") ? String(said.get("bug")) : FIRST.bug,
  };
}

/**
 * @param {string | null} text
 * @param {string} name
 */
function numberOf(text, name) {
  const [least, most, whole] = RANGES[name];
  const value = text === null || text === "" ? Number.NaN : Number(text);
  return value >= least && value <= most && (!whole || Number.isInteger(value)) ? value : undefined;
}
