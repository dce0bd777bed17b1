/**
 * The whole state of the lab in the link, so that a friend sees the same.
 *
 * @module
 */

import { BUGS } from "./bugs.mjs";
import { SOLVERS } from "./solvers.mjs";

/**
 * @typedef {import("./run.mjs").Settings & { bug: string, frame: number, side: number }} State
 * `frame` is the step that is shown, from 0; -1 is the last. `side` is the run whose tensors are shown: 0 is right, 1 has the
 * bug. `layer` is the one whose attention is shown; -1 shows none.
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
  side: 0,
  layer: 5,
};

/** @type {Readonly<Record<string, [least: number, most: number, step: number]>>} Those of the controls, which can show no others. */
export const RANGES = {
  seed: [0, 2 ** 31 - 1, 1],
  weight: [0, 8, 0.25],
  steps: [1, 50, 1],
  shift: [1, 5, 0.25],
  frame: [-1, 49, 1],
  side: [0, 1, 1],
  layer: [-1, 5, 1],
};

const LONGEST = 200; // letters of a caption

/**
 * @param {State} state
 * @returns {string}
 */
export const toLink = (state) =>
  new URLSearchParams(Object.entries(state).map(([name, value]) => [name, String(value)])).toString();

/** @type {Record<string, (text: string) => string | number | undefined>} */
const READERS = {
  ...Object.fromEntries(Object.keys(RANGES).map((name) => [name, (text) => numberOf(text, name)])),
  caption: (text) => (text.length <= LONGEST ? text : undefined),
  solver: (text) => (Object.hasOwn(SOLVERS, text) ? text : undefined),
  bug: (text) => (text === "" || Object.hasOwn(BUGS, text) ? text : undefined),
};

/** @type {Record<string, string>} */
const EXPECTED = {
  ...Object.fromEntries(Object.entries(RANGES).map(([name, range]) => [name, inWords(range)])),
  caption: `at most ${LONGEST} letters`,
  solver: Object.keys(SOLVERS).join(", "),
  bug: Object.keys(BUGS).join(", "),
};

/**
 * What a link says. Where it says nothing, or nothing that can be, the first state holds.
 *
 * @param {string} link
 * @returns {{ state: State, wrongs: string[] }} The second: a line for each value that cannot be.
 */
export function fromLink(link) {
  const state = { ...FIRST };
  /** @type {string[]} */
  const wrongs = [];
  for (const [name, text] of new URLSearchParams(link)) {
    if (!Object.hasOwn(READERS, name)) continue; // another part of the page may have written it
    const found = READERS[name](text);
    if (found === undefined) wrongs.push(`The link says ${name}=${text}: expected ${EXPECTED[name]}.`);
    else Object.assign(state, { [name]: found });
  }
  return { state, wrongs };
}

/**
 * @param {string} text
 * @param {string} name
 */
function numberOf(text, name) {
  const [least, most, step] = RANGES[name];
  const value = /^-?\d+(\.\d+)?$/.test(text) ? Number(text) : Number.NaN; // Number(" ") would be 0
  return value >= least && value <= most && value % step === 0 ? value : undefined;
}

/** @param {[least: number, most: number, step: number]} range */
function inWords([least, most, step]) {
  return step === 1
    ? `a whole number from ${least} to ${most}`
    : `a number from ${least} to ${most} in steps of ${step}`;
}
