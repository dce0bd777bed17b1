/**
 * The bugs that a reader can plant: each replaces one of the parts of a run. All are exhibits of the museum, under the same name.
 *
 * @module
 */

import { denoised, eulerStep, guide, timeGrid } from "./flow.mjs";
import { promptRows } from "./prompt.mjs";

/** @typedef {import("./flow.mjs").Latent} Latent */
/** @typedef {import("./prompt.mjs").Rows} Rows */
/** @typedef {import("./prompt.mjs").Special} Special */
/**
 * @typedef {object} Parts What a run is made of.
 * @property {typeof timeGrid} timeGrid
 * @property {typeof eulerStep} eulerStep
 * @property {typeof guide} guide
 * @property {typeof denoised} denoised
 * @property {typeof promptRows} promptRows What the prompt's keys and values are computed from.
 * @property {(rows: Rows) => Rows} stepRows What the steps are told of the prompt: its mask, and where it ends.
 * @property {(t: number) => number} told The time that the network is told.
 * @property {(z: Latent, factor: number) => Latent} toDecode The decoder divides by the scaling factor afterwards.
 */

/** @type {Parts} */
export const RIGHT = {
  timeGrid,
  eulerStep,
  guide,
  denoised,
  promptRows,
  stepRows: (rows) => rows,
  told: (t) => t,
  toDecode: (z) => z,
};

/**
 * The nearest number that bfloat16 can hold: the upper 16 of float32's 32 bits, ties to even.
 *
 * @param {number} x
 */
export function bfloat16(x) {
  const bits = new Uint32Array(Float32Array.of(x).buffer);
  bits[0] = ((bits[0] + 0x7fff + ((bits[0] >>> 16) & 1)) >>> 16) << 16;
  return new Float32Array(bits.buffer)[0];
}

/** @type {(steps: number, shift: number) => Float32Array} */
function clockInBfloat16(steps, shift) {
  const dt = bfloat16(1 / steps);
  const even = new Float32Array(steps + 1);
  for (let k = 0; k < steps; k++) even[k + 1] = even[k] + dt;
  return even.map((u) => u / (u + shift * (1 - u)));
}

/** @type {(ids: readonly number[], special: Special) => Rows} The prompt twice in the sequence, and the copy masked nowhere. */
function promptTwice(ids, special) {
  const twice = promptRows(ids, special).map((row) => ({
    ids: [...row.ids, ...row.ids],
    mask: [...row.mask, ...ids.map(() => 1)],
    positions: [...row.positions, ...row.positions.map((position) => position + ids.length)],
  }));
  return /** @type {Rows} */ (twice);
}

/** @type {(rows: Rows) => Rows} The image's tokens stand where the mask, not the prompt, ends. */
const renumbered = (rows) =>
  /** @type {Rows} */ (
    rows.map((row) => {
      const seen = row.mask.reduce((sum, bit) => sum + bit, 0);
      return { ...row, positions: [...row.positions.slice(0, -1), seen - 1] };
    })
  );

/** @type {Readonly<Record<string, Partial<Parts>>>} */
export const BUGS = {
  guidance_sign: { guide: (c, u, w) => c.map((value, i) => w * value + (w - 1) * u[i]) },
  guidance_counted_from_zero: { guide: (c, u, w) => c.map((value, i) => value + w * (value - u[i])) },
  unconditional_rows_first: {
    promptRows: (ids, special) => /** @type {Rows} */ (promptRows(ids, special).reverse()),
  },
  unconditional_row_keeps_the_words: {
    promptRows: (ids, special) => {
      const [conditional] = promptRows(ids, special);
      return [conditional, conditional];
    },
  },
  prompt_fed_beside_its_cache: { promptRows: promptTwice },
  last_prompt_token_kept: { promptRows: (ids, special) => promptRows([...ids, special.end], special) },
  positions_renumbered: { stepRows: renumbered },
  euler_backwards: { eulerStep: (z, v, t, tNext) => eulerStep(z, v, tNext, t) },
  time_runs_backwards: { timeGrid: (steps, shift) => timeGrid(steps, shift).reverse() },
  time_not_scaled: { told: (t) => t / 1000 },
  step_count: { timeGrid: (steps, shift) => timeGrid(Math.max(steps - 1, 1), shift) },
  half_precision_clock: { timeGrid: clockInBfloat16 },
  denoised_with_t: { denoised: (z, v, t) => eulerStep(z, v, 0, t) },
  scaling_factor_multiplied: { toDecode: (z, factor) => z.map((value) => value * factor * factor) },
};
