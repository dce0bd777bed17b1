import assert from "node:assert/strict";
import { before, test } from "node:test";
import { fieldOf } from "../../docs/flowlab/field.mjs";
import { straightness } from "../../docs/flowlab/measure.mjs";
import { PRESETS } from "../../docs/flowlab/presets.mjs";
import { noise } from "../../docs/flowlab/random.mjs";
import { basins, nearest, pairedWithOwnEnd } from "../../docs/flowlab/reflow.mjs";
import { euler, midpoint, path } from "../../docs/flowlab/solvers.mjs";
import { near } from "./near.mjs";

/** @typedef {import("../../docs/flowlab/field.mjs").Point} Point */
/** @typedef {import("../../docs/flowlab/field.mjs").Field} Field */

/** @type {(field: Field, data: readonly Point[]) => Int16Array} */
const finished = (field, data) => {
  const work = basins(field, data);
  let state = work.next();
  while (!state.done) state = work.next();
  return state.value;
};

const data = /** @type {Point[]} */ ([
  [1.5, 0.2],
  [-0.5, 1.4],
  [-1.2, -1.1],
  [0.4, -0.8],
]);
const first = fieldOf(data);
/** @type {Int16Array} */ let ends;
/** @type {Field} */ let second;
before(() => {
  ends = finished(first, data);
  second = fieldOf(data, pairedWithOwnEnd(ends));
});

test("each noise of the grid knows its own end", () => {
  const nodes = Math.sqrt(ends.length);
  for (const [row, column] of [
    [40, 55],
    [52, 33],
    [20, 41],
  ]) {
    const start = /** @type {Point} */ ([(8 * column) / (nodes - 1) - 4, (8 * row) / (nodes - 1) - 4]);
    assert.equal(ends[row * nodes + column], nearest(path(first, start, 200, euler)[200], data));
  }
});

test("after reflow of two points each half goes straight to its own point", () => {
  const two = PRESETS.two();
  const field = fieldOf(two, pairedWithOwnEnd(finished(fieldOf(two), two)));
  const v = field([0.9, 0.3], 0.3); // from the left point it would need the noise 2.1, which goes to the right one
  near(v[0], (2 - 0.9) / 0.7, 1e-6);
  near(v[1], -0.3 / 0.7, 1e-6);
  near(path(field, [-0.4, 1.2], 1, euler)[1][0], -2, 1e-6);
});

test("the rectified field is the mean velocity of the lines from each noise to its own end", () => {
  const lines = noise(60_000, 7).map((z0) => [z0, data[nearest(path(first, z0, 24, midpoint)[24], data)]]);
  let [compared, differing] = [0, 0];
  for (const t of [0.15, 0.3])
    for (const z of noise(12, 8)) {
      const close = lines.filter(
        ([z0, z1]) => Math.hypot(z0[0] + t * (z1[0] - z0[0]) - z[0], z0[1] + t * (z1[1] - z0[1]) - z[1]) < 0.12,
      );
      const targets = new Set(close.map(([, z1]) => z1));
      if (close.length < 100 || targets.size !== 1) continue; // in the open: at a border the grid's cell blurs
      compared += 1;
      differing += Number(Math.hypot(first(z, t)[0] - second(z, t)[0], first(z, t)[1] - second(z, t)[1]) > 0.3);
      for (const axis of [0, 1]) {
        const mean = close.reduce((sum, [z0, z1]) => sum + z1[axis] - z0[axis], 0) / close.length;
        near(second(z, t)[axis], mean, 0.06);
      }
    }
  assert.ok(compared >= 8, `only ${compared} places had lines enough`);
  assert.ok(differing >= 4, `only ${differing} places could tell the two fields apart`);
});

test("reflow makes paths straight and leaves every noise its end", () => {
  const starts = noise(60, 9);
  const before = starts.map((z) => path(first, z, 64, euler));
  const after = starts.map((z) => path(second, z, 64, euler));
  assert.ok(straightness(before) > 0.5);
  assert.ok(straightness(after) < 0.01);
  const moved = starts.filter((_, i) => nearest(before[i][64], data) !== nearest(after[i][64], data));
  assert.ok(moved.length <= 3, `${moved.length} of 60 noises have another end`);
});
