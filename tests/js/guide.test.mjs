import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { guide, tipsOf, weightAt } from "../../docs/flowlab/guide.mjs";
import { near } from "./near.mjs";

const python = JSON.parse(readFileSync(new URL("fixture.json", import.meta.url), "utf-8"));
const record = JSON.parse(readFileSync(new URL("../../docs/compass/record.json", import.meta.url), "utf-8"));

test("guidance is the package's", () => {
  const [cond, uncond] = python.places;
  for (const [w, expected] of Object.entries(python.guided))
    for (const axis of [0, 1]) near(guide({ cond, uncond }, Number(w))[axis], expected[axis], 1e-6);
});

test("the plane keeps both lengths and the angle", () => {
  const { uncond, cond } = tipsOf([2, 3, 0.6]);
  near(Math.hypot(...uncond), 2, 1e-12);
  near(Math.hypot(...cond), 3, 1e-12);
  near((uncond[0] * cond[0] + uncond[1] * cond[1]) / 6, 0.6, 1e-12);
});

test("whoever points at the line finds the weight that ends there", () => {
  const tips = tipsOf([1.1, 1.3, 0.9]);
  for (const w of [0, 0.5, 1, 8]) near(weightAt(tips, guide(tips, w)), w, 1e-9);
});

test("the record has two velocities for every caption, weight and moment", () => {
  assert.deepEqual(
    record.weights,
    Array.from({ length: 17 }, (_, k) => k / 2),
  );
  for (const { velocities, fits } of record.runs) {
    assert.equal(fits.length, record.weights.length);
    for (const moments of velocities) {
      assert.equal(moments.length, record.times.length);
      for (const [uncond, cond, cosine] of moments) assert.ok(uncond > 0 && cond > 0 && Math.abs(cosine) <= 1);
    }
  }
});

test("at t = 0 the weight has had no time to change anything", () => {
  for (const { velocities } of record.runs)
    for (const moments of velocities) assert.deepEqual(moments[0], velocities[0][0]);
});
