import assert from "node:assert/strict";
import { test } from "node:test";
import { fieldOf } from "../../docs/flowlab/field.mjs";
import { PRESETS } from "../../docs/flowlab/presets.mjs";
import { at, euler, midpoint, path, SOLVERS } from "../../docs/flowlab/solvers.mjs";
import { near } from "./near.mjs";

/** @typedef {import("../../docs/flowlab/field.mjs").Field} Field */
/** @typedef {import("../../docs/flowlab/solvers.mjs").Solver} Solver */

/** @type {Field} dz/dt = (-x, x): e^-t and 1 - e^-t, from (1, 0). */
const decay = (z) => [-z[0], z[0]];

/** @type {(solver: Solver, steps: number) => number} */
const error = (solver, steps) => Math.abs(path(decay, [1, 0], steps, solver)[steps][1] - (1 - Math.exp(-1)));

test("the steps of the chapter's table by hand", () => {
  near(path(decay, [1, 0], 4, euler)[4][0], 0.75 ** 4, 1e-12);
  near(path(decay, [1, 0], 2, midpoint)[2][0], 0.625 ** 2, 1e-12);
});

test("twice the steps halve Euler's error and quarter midpoint's", () => {
  for (const steps of [16, 32, 64]) {
    near(error(euler, steps) / error(euler, 2 * steps), 2, 0.06);
    near(error(midpoint, steps) / error(midpoint, 2 * steps), 4, 0.15);
  }
});

test("the orders hold on the marginal field too", () => {
  const field = fieldOf(PRESETS.two());
  const half = (/** @type {Solver} */ solver, /** @type {number} */ steps) =>
    at(path(field, [0.5, 0], steps, solver), 0.5)[0];
  const exact = half(midpoint, 4096);
  near((half(euler, 256) - exact) / (half(euler, 512) - exact), 2, 0.1);
  near((half(midpoint, 256) - exact) / (half(midpoint, 512) - exact), 4, 0.4);
});

test("evaluations are as many as promised", () => {
  for (const { step, evaluations } of Object.values(SOLVERS)) {
    let asked = 0;
    path(
      (z) => {
        asked += 1;
        return z;
      },
      [1, 1],
      7,
      step,
    );
    assert.equal(asked, 7 * evaluations);
  }
});

test("time never reaches 1, where the field has no limit", () => {
  for (const { step } of Object.values(SOLVERS))
    path(
      (z, t) => {
        assert.ok(t < 1);
        return z;
      },
      [1, 1],
      50,
      step,
    );
});

test("between two places the walker goes straight", () => {
  const places = /** @type {import("../../docs/flowlab/field.mjs").Point[]} */ ([
    [0, 0],
    [2, 0],
    [2, 4],
  ]);
  assert.deepEqual(
    [0, 0.25, 0.5, 0.75, 1].map((t) => at(places, t)),
    [
      [0, 0],
      [1, 0],
      [2, 0],
      [2, 2],
      [2, 4],
    ],
  );
});
