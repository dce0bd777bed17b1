/**
 * What the page knows of the model: graphs/lab.json, which docs/lab/export.py wrote.
 *
 * @module
 */

/**
 * @typedef {object} World What the scorer needs: see the package's shapes/.
 * @property {number[]} paper
 * @property {Record<string, number[]>} palette
 * @property {Record<string, [number, number][]>} outlines
 * @property {Record<string, [number, number]>} relations
 * @property {Record<string, number>} counts
 * @property {Record<string, string>} plurals
 * @property {number} ink
 * @property {number} speck
 * @property {number} offColour
 * @property {number} poorMatch
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
 * @property {World} world
 */

/** @returns {Promise<Facts>} */
export const loadFacts = async () => (await fetch(new URL("graphs/lab.json", import.meta.url))).json();
