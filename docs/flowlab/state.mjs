/**
 * What the reader has chosen, and the link that holds it.
 *
 * @module
 */

import { PRESETS } from "./presets.mjs";
import { SOLVERS } from "./solvers.mjs";

/** @typedef {import("./field.mjs").Point} Point */
/**
 * @typedef {object} State
 * @property {string} data The name of a preset, or "own" for points that were moved.
 * @property {Point[]} points The data points.
 * @property {Point} red The noise of the red path.
 * @property {"paths" | "lines"} view What is walked: the paths of the sampler, or the lines of the training.
 * @property {keyof typeof SOLVERS} solver
 * @property {number} steps
 * @property {number} rounds How often the flow was rectified.
 * @property {number} seed Of the noise.
 * @property {number} t
 */

/** The largest number of steps, of reflows and of points, and how far from the middle a point may lie. */
export const MOST = { steps: 64, rounds: 2, points: 60, reach: 3.2 };

/** @returns {State} The worked example of the chapter on the flow. */
export const initial = () => ({
  data: "two",
  points: PRESETS.two(),
  red: [0.5, 0],
  view: "paths",
  solver: "euler",
  steps: 4,
  rounds: 0,
  seed: 0,
  t: 0,
});

/** @type {(points: readonly Point[]) => string} */
const written = (points) => points.map((point) => point.map((number) => Number(number.toFixed(2))).join(",")).join(";");

/**
 * The query of a link that leads to this state.
 *
 * @param {State} state
 * @returns {string}
 */
export function toQuery(state) {
  const { points, red, data, ...plain } = state;
  const entries = { data: data === "own" ? written(points) : data, red: written([red]), ...plain };
  const query = Object.entries(entries).map(([name, value]) => `${name}=${value}`);
  return `?${query.join("&")}`;
}

/**
 * The state that a query holds. What it leaves out is as at the beginning.
 *
 * @param {string} query
 * @returns {{ state: State, wrongs: string[] }} The second: a line for each value that is none, which was left as at the beginning.
 */
export function fromQuery(query) {
  const state = initial();
  /** @type {string[]} */
  const wrongs = [];
  for (const [name, text] of new URLSearchParams(query)) {
    const read = READERS[name];
    if (!read) continue; // another part of the page may have written it
    const found = read(text);
    if (found === undefined) wrongs.push(`the link says ${name}=${text}: expected ${EXPECTED[name]}`);
    else Object.assign(state, found);
  }
  return { state, wrongs };
}

/** @type {(most: number) => (text: string) => number | undefined} */
const whole = (most) => (text) => (/^\d{1,6}$/.test(text) && Number(text) <= most ? Number(text) : undefined);

/** @type {(text: string) => Point[] | undefined} */
function toPoints(text) {
  if (!/^-?[\d.]+,-?[\d.]+(;-?[\d.]+,-?[\d.]+)*$/.test(text)) return undefined; // Number("") is 0
  const points = text.split(";").map((pair) => pair.split(",").map(Number));
  const sound = points.every((pair) => pair.every((number) => Math.abs(number) <= MOST.reach));
  return sound && points.length <= MOST.points ? /** @type {Point[]} */ (/** @type {unknown} */ (points)) : undefined;
}

/** @type {(name: string, value: unknown) => Partial<State> | undefined} */
const part = (name, value) => (value === undefined ? undefined : { [name]: value });

/** @type {Record<string, (text: string) => Partial<State> | undefined>} */
const READERS = {
  data: (text) => {
    if (Object.hasOwn(PRESETS, text)) return { data: text, points: PRESETS[text]() };
    const points = toPoints(text);
    return points && { data: "own", points };
  },
  red: (text) => {
    const points = toPoints(text);
    return points?.length === 1 ? { red: points[0] } : undefined;
  },
  view: (text) =>
    part(
      "view",
      ["paths", "lines"].find((name) => name === text),
    ),
  solver: (text) =>
    part(
      "solver",
      Object.keys(SOLVERS).find((name) => name === text),
    ),
  steps: (text) => part("steps", whole(MOST.steps)(text) || undefined),
  rounds: (text) => part("rounds", whole(MOST.rounds)(text)),
  seed: (text) => part("seed", whole(999_999)(text)),
  t: (text) => part("t", /^[\d.]+$/.test(text) && Number(text) <= 1 ? Number(text) : undefined),
};

/** @type {Record<string, string>} */
const EXPECTED = {
  data: `${Object.keys(PRESETS).join(", ")}, or 1 to ${MOST.points} points x,y;x,y within ${MOST.reach} of the middle`,
  red: `a point x,y within ${MOST.reach} of the middle`,
  view: "paths or lines",
  solver: Object.keys(SOLVERS).join(" or "),
  steps: `a whole number from 1 to ${MOST.steps}`,
  rounds: `a whole number from 0 to ${MOST.rounds}`,
  seed: "a whole number from 0 to 999999",
  t: "a number from 0 to 1",
};
