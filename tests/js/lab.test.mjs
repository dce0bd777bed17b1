import assert from "node:assert/strict";
import { test } from "node:test";
import { Attention } from "../../docs/lab/attention.mjs";
import { BUGS, bfloat16 } from "../../docs/lab/bugs.mjs";
import { complete, completions, fault, unfinished } from "../../docs/lab/completion.mjs";
import { denoised, eulerStep, guide, timeGrid } from "../../docs/lab/flow.mjs";
import { indexOf, placeAt } from "../../docs/lab/latents.mjs";
import { FIRST, fromLink, toLink } from "../../docs/lab/link.mjs";
import { cosine, norm } from "../../docs/lab/measures.mjs";
import { rememberLoaded, wasLoaded } from "../../docs/lab/memory.mjs";
import { gaussian, noiseOf } from "../../docs/lab/noise.mjs";
import { promptRows } from "../../docs/lab/prompt.mjs";
import { adamsBashforth, euler, heun, midpoint, SOLVERS } from "../../docs/lab/solvers.mjs";
import { sourceOf } from "../../docs/lab/source.mjs";
import { near } from "./near.mjs";

const row = (/** @type {number[]} */ ...values) => Float32Array.from(values);

test("the grid of times is the package's worked example", () => {
  assert.deepEqual([...timeGrid(4, 1)], [0, 0.25, 0.5, 0.75, 1]);
  [0, 0.1, 0.25, 0.5, 1].forEach((t, k) => {
    near(timeGrid(4, 3)[k], t, 1e-7);
  });
});

test("guidance and the Euler step are the package's worked examples", () => {
  assert.deepEqual([...guide(row(3), row(1), 2)], [5]);
  assert.deepEqual([...eulerStep(row(1), row(2), 0.25, 0.75)], [2]);
  assert.deepEqual([...denoised(row(1), row(2), 0.25)], [2.5]);
});

/**
 * Follow dz/dt = z from 1, whose end is e. Both velocities are equal, so guidance does nothing.
 *
 * @param {import("../../docs/lab/solvers.mjs").Solver} solver
 * @param {number} steps
 */
async function error(solver, steps) {
  const velocity = async (/** @type {Float32Array} */ z) => ({ vCond: z, vUncond: z });
  let z = row(1);
  const field = { velocity, guide: (/** @type {Float32Array} */ v) => v, eulerStep };
  for await (const step of solver(field, z, timeGrid(steps, 1))) z = /** @type {typeof z} */ (step.zNext);
  return Math.abs(z[0] - Math.E);
}

test("twice the steps halve Euler's error, and quarter that of the others", async () => {
  near((await error(euler, 20)) / (await error(euler, 40)), 2, 0.1);
  for (const solver of [midpoint, heun, adamsBashforth])
    near((await error(solver, 20)) / (await error(solver, 40)), 4, 0.3);
});

test("every solver's source names each stage of a step once", () => {
  for (const name of Object.keys(SOLVERS)) {
    const stages = sourceOf(name).map(({ stage }) => stage);
    assert.deepEqual(stages.filter(Boolean), [1, 2, 3, 4], name);
  }
});

test("bfloat16 rounds as the museum's exhibit says", () => {
  near(bfloat16(1 / 30), 0.033447, 1e-6);
  const grid = BUGS.half_precision_clock.timeGrid?.(30, 1) ?? [];
  near(grid[30], 1.0034, 1e-4);
});

test("the prompt pair is the package's worked example", () => {
  const [cond, uncond] = promptRows([1, 5, 6, 7], { pad: 0, end: 9 });
  assert.deepEqual(cond, { ids: [1, 5, 6, 7], mask: [1, 1, 1, 1], positions: [0, 1, 2, 3] });
  assert.deepEqual(uncond, { ids: [1, 0, 0, 0], mask: [1, 0, 0, 0], positions: [0, 1, 2, 3] });
});

test("a word is completed, and an unknown one is named", () => {
  const facts = /** @type {import("../../docs/lab/facts.mjs").Facts} */ ({ words: ["a", "red", "circle", "circles"] });
  assert.deepEqual(completions("a red ci", facts.words), ["circle", "circles"]);
  assert.deepEqual(completions("a red ", facts.words), []);
  assert.equal(complete("a red ci", "circle"), "a red circle ");
  for (const caption of ["c", "a red ci"]) assert.ok(unfinished(caption, facts), caption);
  for (const caption of ["", "a red ci ", "a dog circle", "a dog ci", "a red dog"])
    assert.ok(!unfinished(caption, facts), caption);
  assert.match(fault("A red dog", facts), /^The model does not know "dog"\. It knows: a, red/);
  assert.match(fault("a dog dog cat", facts), /know "dog", "cat"\. It/);
  assert.equal(fault("A  RED circle", facts), "");
});

test("a link gives back the state that it was made of, and what cannot be is left out", () => {
  const state = {
    ...FIRST,
    caption: "three & a half",
    seed: 12,
    weight: 2.5,
    solver: "heun",
    bug: "step_count",
    frame: 3,
  };
  assert.deepEqual(fromLink(toLink(state)), { state, wrongs: [] });
  for (const link of [
    "weight=99",
    "weight=2.3",
    "weight=%20",
    "steps=2.5",
    "steps=0x10",
    "seed=1e3",
    "seed=",
    "solver=constructor",
  ])
    assert.deepEqual(fromLink(link).state, FIRST, link);
  assert.deepEqual(fromLink("bug=toString&again=1&__proto__=1").state, FIRST);
  assert.deepEqual(fromLink("").wrongs, []);
});

test("what a link says that cannot be is named, with what is expected", () => {
  const link = `steps=many&layer=9&shift=1.5&weight=-1&caption=${"a".repeat(201)}&solver=rk4&strange=1`;
  const { state, wrongs } = fromLink(link);
  assert.deepEqual(state, { ...FIRST, shift: 1.5 });
  assert.equal(wrongs.length, 5);
  assert.equal(wrongs[0], "The link says steps=many: expected a whole number from 1 to 50.");
  assert.match(wrongs[2], /weight=-1: expected a number from 0 to 8 in steps of 0\.25\.$/);
  assert.match(wrongs[4], /solver=rk4: expected euler, midpoint, heun, adams-bashforth\.$/);
});

test("a browser that forbids memory is asked for none", () => {
  /** @type {Record<string, string>} */
  const kept = {};
  const storage = {
    getItem: (/** @type {string} */ name) => kept[name] ?? null,
    setItem: (/** @type {string} */ name, /** @type {string} */ value) => {
      kept[name] = value;
    },
  };
  Object.defineProperty(globalThis, "localStorage", { get: () => storage, configurable: true });
  assert.equal(wasLoaded(), false);
  rememberLoaded();
  assert.equal(wasLoaded(), true);
  const forbid = () => {
    throw new DOMException("forbidden", "SecurityError");
  };
  Object.defineProperty(globalThis, "localStorage", { get: forbid, configurable: true });
  rememberLoaded();
  assert.equal(wasLoaded(), false);
});

test("kept noise is given for its seed; other noise is N(0, 1) and the same every time", () => {
  assert.deepEqual([...noiseOf(1, row(1, 2, 3, 4), 2)], [3, 4]);
  const drawn = gaussian(99, 20000);
  assert.deepEqual(gaussian(99, 20000), drawn);
  near(drawn.reduce((sum, x) => sum + x, 0) / drawn.length, 0, 0.03);
  near(norm(drawn) / Math.sqrt(drawn.length), 1, 0.02);
});

test("a latent's channels stand as a square of squares", () => {
  assert.deepEqual(placeAt(13, 2, 12), { channel: 1, row: 2, column: 1 });
  assert.equal(indexOf({ channel: 1, row: 2, column: 1 }, 12), 144 + 24 + 1);
});

test("cosine is 1 for the same direction and 0 for a right angle", () => {
  near(cosine(row(1, 2), row(2, 4)), 1, 1e-6);
  near(cosine(row(1, 0), row(0, 3)), 0, 1e-6);
});

test("attention is read from the conditional row, after the time token", () => {
  // 2 layers, 2 rows, 1 + 1 new tokens, 2 words + 2 new tokens: the numbers count upwards
  const numbers = Float32Array.from({ length: 32 }, (_, i) => i);
  const attention = new Attention(numbers, { layers: 2, words: 2, patches: 1 });
  assert.deepEqual(attention.ofPatch(1, 0), [20, 21]);
  assert.deepEqual(attention.toWord(0, 1), [5]);
});
