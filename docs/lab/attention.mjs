/**
 * How much the patches attend to the words, read from what the step graph returns.
 *
 * The numbers are [layers, 2 rows, n, L + n]: new token i attends to token j. New token 0 is the time, then come the patches. Only the
 * conditional row is shown: the other one sees no words.
 *
 * @module
 */

/** @typedef {{ layers: number, words: number, patches: number }} Sizes */

export class Attention {
  /**
   * @param {Float32Array} numbers
   * @param {Sizes} sizes
   */
  constructor(numbers, { layers, words, patches }) {
    this.numbers = numbers;
    this.layers = layers;
    this.words = words;
    this.patches = patches;
    this.fresh = 1 + patches;
    this.seen = words + this.fresh;
  }

  /**
   * @param {number} layer
   * @param {number} patch
   * @param {number} token Of the sequence: the prompt, the time, the patches.
   */
  from(layer, patch, token) {
    return this.numbers[(layer * 2 * this.fresh + 1 + patch) * this.seen + token];
  }

  /**
   * How much one patch attends to each word of the prompt.
   *
   * @param {number} layer
   * @param {number} patch
   */
  ofPatch(layer, patch) {
    return Array.from({ length: this.words }, (_, word) => this.from(layer, patch, word));
  }

  /**
   * How much each patch attends to one word.
   *
   * @param {number} layer
   * @param {number} word
   */
  toWord(layer, word) {
    return Array.from({ length: this.patches }, (_, patch) => this.from(layer, patch, word));
  }
}
