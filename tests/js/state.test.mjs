import assert from "node:assert/strict";
import { test } from "node:test";
import { bundleOf, exactPaths, linesOf, startsOf } from "../../docs/flowlab/bundle.mjs";
import { fieldOf } from "../../docs/flowlab/field.mjs";
import { inSlices } from "../../docs/flowlab/slices.mjs";
import { at } from "../../docs/flowlab/solvers.mjs";
import { fromQuery, initial, toQuery } from "../../docs/flowlab/state.mjs";
import { near } from "./near.mjs";

/** @typedef {import("../../docs/flowlab/state.mjs").State} State */
/** @typedef {import("../../docs/flowlab/field.mjs").Point} Point */

test("a link holds all that can be chosen", () => {
  /** @type {State} */
  const state = {
    data: "own",
    points: [
      [-1.25, 0.5],
      [3, -3.2],
    ],
    red: [0.02, 0.6],
    view: "lines",
    solver: "midpoint",
    steps: 64,
    rounds: 2,
    seed: 17,
    t: 0.375,
  };
  assert.deepEqual(fromQuery(toQuery(state)), { state, wrongs: [] });
  assert.deepEqual(fromQuery(toQuery(initial())).state, initial());
  assert.deepEqual(fromQuery("?q=other&h=").state, initial());
});

test("what a link cannot mean is named, and the rest of the link holds", () => {
  const wrong = [
    "data=",
    "data=1,2;3",
    "data=,",
    "red=1,",
    "data=9,9",
    "data=constructor",
    "red=a,b",
    "red=0,0;1,1",
    "view=both",
    "solver=toString",
  ];
  wrong.push("steps=0", "steps=65", "steps=1.5", "rounds=3", "seed=-1", "t=2", "t=NaN", `data=${"1,1;".repeat(61)}1,1`);
  for (const pair of wrong) {
    const { state, wrongs } = fromQuery(`?${pair}&rounds=1`);
    assert.equal(wrongs.length, 1, pair);
    assert.ok(wrongs[0].includes(": expected "), pair);
    assert.deepEqual({ ...state, rounds: 0 }, initial(), pair);
  }
});

test("the first flow's lines join random pairs, a rectified one's join each noise with its own end", () => {
  const state = { ...initial(), seed: 3 };
  const starts = startsOf(state);
  const exact = exactPaths(fieldOf(state.points), starts);
  const right = linesOf(state, starts, undefined).filter(([, end]) => end === state.points[1]);
  assert.ok(right.length > 25 && right.length < 56, `${right.length} of 81 go to the right`);
  assert.ok(right.some(([start]) => start[0] < -0.3));
  for (const [start, end] of linesOf(state, starts, exact)) near(Math.sign(start[0]), Math.sign(end[0]), 0);
});

test("lines and paths carry the same cloud", () => {
  const state = { ...initial(), steps: 64 };
  const { points } = state;
  const field = fieldOf(points);
  const clouds = Array.from({ length: 12 }, (_, seed) => {
    const now = { ...state, seed };
    const exact = exactPaths(field, startsOf(now));
    const { lines, paths } = bundleOf(now, field, exact);
    return { lines, paths };
  });
  const beyond = (/** @type {"lines" | "paths"} */ kind) => {
    const xs = clouds.flatMap((cloud) => cloud[kind].map((places) => at(places, 0.5)[0]));
    return xs.filter((x) => x > 1).length / xs.length;
  };
  for (const kind of /** @type {const} */ (["lines", "paths"])) near(beyond(kind), 0.25, 0.05); // the chapter's S(0.5)
});

test("the numbers: evaluations are counted, and exact ends are no error", () => {
  const state = /** @type {State} */ ({ ...initial(), solver: "midpoint", steps: 64 });
  const field = fieldOf(state.points);
  const { numbers } = bundleOf(state, field, exactPaths(field, startsOf(state)));
  assert.equal(numbers.nfe, 128);
  assert.equal(numbers.error, 0);
  near(numbers.fromData, 0, 1e-6);
});

test("long work goes on in slices of a few milliseconds, and ends when it is told to", async (t) => {
  let clock = 0;
  t.mock.method(performance, "now", () => clock);
  /** @returns {Generator<number, string, void>} Twenty pieces of work, five milliseconds each. */
  function* work() {
    for (let k = 1; k <= 20; k++) {
      clock += 5;
      yield k;
    }
    return "done";
  }
  /** @type {number[]} */
  const told = [];
  assert.equal(await inSlices(work(), (share) => told.push(share), new AbortController().signal), "done");
  assert.deepEqual(told, [3, 6, 9, 12, 15, 18]);
  const stop = new AbortController();
  assert.equal(await inSlices(work(), () => stop.abort(), stop.signal), undefined);
});
