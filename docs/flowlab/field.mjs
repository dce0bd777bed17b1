/**
 * The marginal velocity field of finitely many data points, in closed form: nothing is trained here.
 *
 * Noise z_0 is drawn from N(0, I) and paired at random with one of the data points x_1 .. x_n. The pair's line is
 * z_t = (1 - t) z_0 + t x_i. We want the mean velocity of all lines through one place z at time t:
 *
 *     v(z, t) = E[z_1 - z_0 | z_t = z]
 *
 * 1. If a line through z ends in x_i, its noise can only have been  z_0 = (z - t x_i) / (1 - t).
 * 2. By Bayes' rule its share w_i among all lines through z is proportional to the density of that noise, exp(-|z_0|^2 / 2).
 *    (The factor 1 / (1 - t)^2 from changing variables is the same for all i, and drops out.)
 * 3. Its velocity is x_i - z_0 = (x_i - z) / (1 - t): the rest of the way, divided by the rest of the time.
 *
 * So the shares are a softmax, and  v(z, t) = (sum_i w_i x_i - z) / (1 - t).
 *
 * @module
 */

/** @typedef {readonly [x: number, y: number]} Point */
/** @typedef {(z: Point, t: number) => Point} Field The velocity at a place and a time, 0 <= t < 1. */
/** @typedef {(noise: Point, i: number) => number} LogPreference How gladly a noise goes to data point i, as a logarithm. */

/**
 * The noise from which a line must start to be at z at time t and to end in x.
 *
 * @param {Point} z
 * @param {number} t
 * @param {Point} x
 * @returns {Point}
 */
export const noiseOf = (z, t, x) => [(z[0] - t * x[0]) / (1 - t), (z[1] - t * x[1]) / (1 - t)];

/**
 * The shares w_i of the data points among all lines through z at time t. They add up to 1.
 *
 * @param {Point} z
 * @param {number} t
 * @param {readonly Point[]} data
 * @param {LogPreference} [logPreference] Which noise is paired with which data point; left out, all pairs are equally likely.
 * @returns {number[]}
 */
export function shares(z, t, data, logPreference = () => 0) {
  const logits = data.map((x, i) => {
    const noise = noiseOf(z, t, x);
    return -(noise[0] ** 2 + noise[1] ** 2) / 2 + logPreference(noise, i);
  });
  const top = Math.max(...logits);
  const masses = logits.map((logit) => Math.exp(logit - top));
  const total = masses.reduce((sum, mass) => sum + mass);
  return masses.map((mass) => mass / total);
}

/**
 * The mean of the data, seen from z at time t: where the path would end if the velocity stayed as it is (the denoised prediction).
 *
 * @param {Point} z
 * @param {number} t
 * @param {readonly Point[]} data
 * @param {LogPreference} [logPreference]
 * @returns {Point}
 */
export function denoised(z, t, data, logPreference) {
  const w = shares(z, t, data, logPreference);
  let [x, y] = [0, 0];
  for (let i = 0; i < data.length; i++) {
    x += w[i] * data[i][0];
    y += w[i] * data[i][1];
  }
  return [x, y];
}

/**
 * The marginal velocity field of these data.
 *
 * @param {readonly Point[]} data
 * @param {LogPreference} [logPreference]
 * @returns {Field}
 */
export const fieldOf = (data, logPreference) => (z, t) => {
  const end = denoised(z, t, data, logPreference);
  return [(end[0] - z[0]) / (1 - t), (end[1] - z[1]) / (1 - t)];
};
