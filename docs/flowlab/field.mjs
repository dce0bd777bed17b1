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
/** @typedef {(noise: Point, i: number) => number} LogPreference How gladly a noise goes to data point i: a logarithm, at most 0. */

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
 * @returns {Float64Array}
 */
export function shares(z, t, data, logPreference) {
  const w = new Float64Array(data.length);
  let top = -Infinity;
  for (let i = 0; i < w.length; i++) {
    const noise = noiseOf(z, t, data[i]);
    const logit = -(noise[0] * noise[0] + noise[1] * noise[1]) / 2;
    const hopeless = logit < top - 40; // its share is below 1e-17: no need to ask further
    w[i] = hopeless ? -Infinity : logit + (logPreference ? logPreference(noise, i) : 0);
    if (w[i] > top) top = w[i];
  }
  let total = 0;
  for (let i = 0; i < w.length; i++) total += w[i] = Math.exp(w[i] - top); // the largest is 1, so none overflows
  for (let i = 0; i < w.length; i++) w[i] /= total;
  return w;
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
