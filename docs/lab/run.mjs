/**
 * One run: a caption, a seed and the settings, and the steps that come of it, each with its pictures.
 *
 * @module
 */

import { BUGS, RIGHT } from "./bugs.mjs";
import { noiseOf } from "./noise.mjs";
import { specialIds, tokensOf } from "./prompt.mjs";
import { SOLVERS } from "./solvers.mjs";

/** @typedef {import("./engine.mjs").Engine} Engine */
/** @typedef {import("./facts.mjs").Facts} Facts */
/** @typedef {{ caption: string, seed: number, weight: number, steps: number, solver: string, shift: number, layer: number }} Settings */
/**
 * @typedef {import("./solvers.mjs").Step & { denoised: Float32Array, attention: Float32Array | undefined, zPicture: Uint8ClampedArray,
 *   denoisedPicture: Uint8ClampedArray }} Frame
 */

/**
 * @param {Engine} engine
 * @param {Facts} facts
 * @param {Float32Array} kept The noise of the first seeds.
 * @param {Settings} settings
 * @param {string} [bug] A name of BUGS. Left out, the run is right.
 * @param {(stage: number) => void} [enter] Is told which stage of a step begins: 1 velocities, 2 guidance, 3 the step.
 * @returns {AsyncGenerator<Frame, void, void>}
 */
export async function* frames(engine, facts, kept, settings, bug, enter = () => {}) {
  const parts = { ...RIGHT, ...(bug ? BUGS[bug] : {}) };
  const ids = tokensOf(settings.caption, facts).map((token) => facts.vocabulary[token]);
  const prompt = parts.promptRows(ids, specialIds(facts));
  const cache = await engine.prefill(prompt);
  let attention = /** @type {Float32Array | undefined} */ (undefined);
  const field = {
    /** @type {import("./solvers.mjs").Field["velocity"]} */
    velocity: async (z, t) => {
      enter(1);
      const found = await engine.velocity(z, parts.told(t), parts.stepRows(prompt), cache, settings.layer >= 0);
      attention = found.attention;
      return found;
    },
    /** @type {import("./solvers.mjs").Field["guide"]} */
    guide: (vCond, vUncond) => {
      enter(2);
      return parts.guide(vCond, vUncond, settings.weight);
    },
    /** @type {import("./solvers.mjs").Field["eulerStep"]} */
    eulerStep: (z, v, t, tNext) => {
      enter(3);
      return parts.eulerStep(z, v, t, tNext);
    },
  };
  const start = noiseOf(
    settings.seed,
    kept,
    facts.latent.reduce((a, b) => a * b),
  );
  for await (const step of SOLVERS[settings.solver](field, start, parts.timeGrid(settings.steps, settings.shift))) {
    const denoised = parts.denoised(step.z, step.v, step.t);
    const zPicture = await picture(engine, parts.toDecode(step.z, facts.scalingFactor));
    const denoisedPicture = await picture(engine, parts.toDecode(denoised, facts.scalingFactor));
    yield { ...step, denoised, attention, zPicture, denoisedPicture };
  }
}

/**
 * @param {Engine} engine
 * @param {Float32Array} z
 */
const picture = async (engine, z) => rgba(await engine.decode(z));

/**
 * Three planes of -1..1 as pixels of 0..255, as a canvas takes them.
 *
 * @param {Float32Array} planes
 */
export function rgba(planes) {
  const size = planes.length / 3;
  const pixels = new Uint8ClampedArray(4 * size).fill(255);
  for (let i = 0; i < size; i++)
    for (let colour = 0; colour < 3; colour++) pixels[4 * i + colour] = ((planes[colour * size + i] + 1) / 2) * 255;
  return pixels;
}
