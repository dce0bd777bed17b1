/**
 * From a caption to the prompt pair, as in the package's prompt.py: ids, attention mask and positions of two rows.
 *
 * @module
 */

/** @typedef {import("./facts.mjs").Facts} Facts */
/** @typedef {{ ids: number[], mask: number[], positions: number[] }} Row */
/** @typedef {{ pad: number, end: number }} Special The ids of padding and of <begin_of_image>. */
/** @typedef {[conditional: Row, unconditional: Row]} Rows */

/** @type {(caption: string) => string[]} The words, as the tokenizer cuts them. */
export const wordsOf = (caption) => caption.toLowerCase().split(/\s+/).filter(Boolean);

/**
 * The words that the model was never shown: it would draw something else in silence.
 *
 * @param {string} caption
 * @param {Facts} facts
 */
export const unknownWords = (caption, { words }) => wordsOf(caption).filter((word) => !words.includes(word));

/**
 * The tokens of the prompt: the chat template around the caption, without <begin_of_image>, whose place the time token takes.
 *
 * @param {string} caption
 * @param {Facts} facts
 */
export const tokensOf = (caption, { begin, template }) => [
  begin,
  ...wordsOf(`${template.before} ${caption} ${template.after}`),
];

/**
 * @param {Facts} facts
 * @returns {Special}
 */
export const specialIds = ({ vocabulary, pad, end }) => ({ pad: vocabulary[pad], end: vocabulary[end] });

/**
 * The two rows. The unconditional one keeps the first token; the others are padding, masked, and keep their positions.
 *
 * @param {readonly number[]} ids
 * @param {Special} special
 * @returns {Rows}
 */
export function promptRows(ids, { pad }) {
  const positions = ids.map((_, i) => i);
  return [
    { ids: [...ids], mask: ids.map(() => 1), positions },
    { ids: ids.map((id, i) => (i === 0 ? id : pad)), mask: ids.map((_, i) => (i === 0 ? 1 : 0)), positions },
  ];
}
