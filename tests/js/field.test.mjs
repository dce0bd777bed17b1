import assert from "node:assert/strict";
import { test } from "node:test";
import { denoised, fieldOf, shares } from "../../docs/flowlab/field.mjs";
import { PRESETS } from "../../docs/flowlab/presets.mjs";
import { noise, uniform } from "../../docs/flowlab/random.mjs";
import { euler, path } from "../../docs/flowlab/solvers.mjs";
import { near } from "./near.mjs";

/** @typedef {import("../../docs/flowlab/field.mjs").Point} Point */

test("two points give the hyperbolic tangent of the chapter", () => {
  const v = fieldOf(PRESETS.two());
  for (const z of [-1.3, -0.2, 0.5, 2.4])
    for (const t of [0, 0.25, 0.5, 0.8]) {
      const expected = (2 * Math.tanh((2 * z * t) / (1 - t) ** 2) - z) / (1 - t);
      near(v([z, 0.7], t)[0], expected, 1e-9);
      near(v([z, 0.7], t)[1], -0.7 / (1 - t), 1e-9); // both points lie on the axis
    }
});

test("four Euler steps give the table that the chapter computes by hand", () => {
  const table = [0.5, 0.375, 0.464, 1.185, 2.0];
  const found = path(fieldOf(PRESETS.two()), [0.5, 0], 4, euler);
  for (const [k, expected] of table.entries()) near(found[k][0], expected, 0.0011);
});

test("shares are the frequencies of the data points among random lines that pass near the place", () => {
  const data = /** @type {Point[]} */ ([
    [1, 0],
    [-0.5, 1.2],
    [-1, -1],
  ]);
  const t = 0.4;
  const z = /** @type {Point} */ ([0.2, 0.1]);
  const draw = uniform(1);
  const counts = [0, 0, 0];
  let [vx, vy, hits] = [0, 0, 0];
  for (const z0 of noise(1_000_000, 2)) {
    const i = Math.floor(draw() * 3);
    const x = data[i];
    const [px, py] = [(1 - t) * z0[0] + t * x[0], (1 - t) * z0[1] + t * x[1]];
    if (Math.hypot(px - z[0], py - z[1]) > 0.08) continue;
    counts[i] += 1;
    hits += 1;
    vx += x[0] - z0[0];
    vy += x[1] - z0[1];
  }
  assert.ok(hits > 3000);
  for (const [i, share] of shares(z, t, data).entries()) near(counts[i] / hits, share, 0.03);
  const v = fieldOf(data)(z, t);
  near(vx / hits, v[0], 0.06);
  near(vy / hits, v[1], 0.06);
});

test("at t = 0 the prediction is the mean of the data, wherever we are", () => {
  const data = PRESETS.moons();
  const [x, y] = [0, 1].map((axis) => data.reduce((sum, point) => sum + point[axis], 0) / data.length);
  for (const z of noise(5, 3)) {
    near(denoised(z, 0, data)[0], x, 1e-12);
    near(denoised(z, 0, data)[1], y, 1e-12);
  }
});

test("near t = 1 the shares stay numbers, however far away the data are", () => {
  for (const share of shares([40, -30], 0.999, PRESETS.ring())) assert.ok(share >= 0 && share <= 1);
});
