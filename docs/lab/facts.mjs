/**
 * What the page knows of the model: graphs/lab.json, which docs/lab/export.py wrote.
 *
 * @module
 */

/**
 * @typedef {object} Facts
 * @property {Record<string, number>} vocabulary
 * @property {string[]} words What a caption may be made of.
 * @property {{ before: string, after: string }} template
 * @property {string} begin
 * @property {string} pad
 * @property {string} end
 * @property {number} layers
 * @property {[number, number, number]} latent Channels, height, width.
 * @property {number} pixels The side of the picture.
 * @property {number} patch How many latent places a patch is wide.
 * @property {number} scalingFactor
 * @property {number} seeds How many seeds' noise is kept.
 * @property {string[]} examples
 */

/** @returns {Promise<Facts>} */
export const loadFacts = async () => (await fetch(new URL("graphs/lab.json", import.meta.url))).json();
