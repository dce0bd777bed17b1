/**
 * The loop. Each solver is a generator of steps, as in the package's sampling.py and solvers.py, and the page shows its source.
 *
 * `velocity` evaluates the network, `guide` and `eulerStep` are those of flow.mjs (or a bug of bugs.mjs in their place).
 *
 * @module
 */

/** @typedef {import("./flow.mjs").Latent} Latent */
/** @typedef {{ index: number, t: number, tNext: number, z: Latent, vCond: Latent, vUncond: Latent, v: Latent, zNext: Latent }} Step */
/**
 * @typedef {object} Field What a solver needs.
 * @property {(z: Latent, t: number) => Promise<{ vCond: Latent, vUncond: Latent }>} velocity
 * @property {(vCond: Latent, vUncond: Latent) => Latent} guide
 * @property {(z: Latent, v: Latent, t: number, tNext: number) => Latent} eulerStep
 */
/** @typedef {(field: Field, z: Latent, times: Float32Array) => AsyncGenerator<Step, void, void>} Solver */

/** @type {Solver} */
export async function* euler({ velocity, guide, eulerStep }, z, times) {
  for (let index = 0; index + 1 < times.length; index++) {
    const [t, tNext] = times.subarray(index);
    const { vCond, vUncond } = await velocity(z, t); // 1 two velocities
    const v = guide(vCond, vUncond); // 2 guidance
    const zNext = eulerStep(z, v, t, tNext); // 3 Euler step
    yield { index, t, tNext, z, vCond, vUncond, v, zNext };
    z = zNext; // 4 the next latent
  }
}

/** @type {Solver} */
export async function* midpoint({ velocity, guide, eulerStep }, z, times) {
  for (let index = 0; index + 1 < times.length; index++) {
    const [t, tNext] = times.subarray(index);
    const tMiddle = (t + tNext) / 2;
    const start = await velocity(z, t);
    const zMiddle = eulerStep(z, guide(start.vCond, start.vUncond), t, tMiddle); // half a step
    const { vCond, vUncond } = await velocity(zMiddle, tMiddle); // 1 two velocities in the middle
    const v = guide(vCond, vUncond); // 2 guidance
    const zNext = eulerStep(z, v, t, tNext); // 3 the whole step
    yield { index, t, tNext, z, vCond, vUncond, v, zNext };
    z = zNext; // 4 the next latent
  }
}

/** @type {Solver} */
export async function* heun({ velocity, guide, eulerStep }, z, times) {
  for (let index = 0; index + 1 < times.length; index++) {
    const [t, tNext] = times.subarray(index);
    const start = await velocity(z, t);
    const zEnd = eulerStep(z, guide(start.vCond, start.vUncond), t, tNext);
    const end = await velocity(zEnd, tNext);
    const vCond = mean(start.vCond, end.vCond); // 1 two velocities, each the mean of both ends
    const vUncond = mean(start.vUncond, end.vUncond);
    const v = guide(vCond, vUncond); // 2 guidance
    const zNext = eulerStep(z, v, t, tNext); // 3 the whole step
    yield { index, t, tNext, z, vCond, vUncond, v, zNext };
    z = zNext; // 4 the next latent
  }
}

/** @type {Solver} */
export async function* adamsBashforth({ velocity, guide, eulerStep }, z, times) {
  let before = null;
  for (let index = 0; index + 1 < times.length; index++) {
    const [t, tNext] = times.subarray(index);
    const now = await velocity(z, t);
    const half = before ? (tNext - t) / (t - before.t) / 2 : 0;
    const vCond = ahead(now.vCond, before?.vCond, half); // 1 two velocities, extrapolated by half a step
    const vUncond = ahead(now.vUncond, before?.vUncond, half);
    const v = guide(vCond, vUncond); // 2 guidance
    const zNext = eulerStep(z, v, t, tNext); // 3 the whole step
    yield { index, t, tNext, z, vCond, vUncond, v, zNext };
    before = { ...now, t };
    z = zNext; // 4 the next latent
  }
}

/** @type {(a: Latent, b: Latent) => Latent} */
const mean = (a, b) => a.map((value, i) => (value + b[i]) / 2);

/** @type {(now: Latent, before: Latent | undefined, half: number) => Latent} */
const ahead = (now, before, half) => (before ? now.map((value, i) => value + half * (value - before[i])) : now);

/** @type {Readonly<Record<string, Solver>>} The names are those of `janus-minimal generate --solver`. */
export const SOLVERS = { euler, midpoint, heun, "adams-bashforth": adamsBashforth };
