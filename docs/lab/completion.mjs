/**
 * The caption box: it completes the last word, marks words that the model does not know, and names them.
 *
 * @module
 */

import { make } from "./dom.mjs";
import { unknownWords, wordsOf } from "./prompt.mjs";

/** @typedef {import("./facts.mjs").Facts} Facts */

/**
 * The known words that begin like the last word of the caption, but not that word itself.
 *
 * @param {string} caption
 * @param {readonly string[]} words
 */
export function completions(caption, words) {
  const last = /\s$/.test(caption) ? "" : (wordsOf(caption).at(-1) ?? "");
  return last ? words.filter((word) => word.startsWith(last) && word !== last) : [];
}

/**
 * The caption with its last word completed.
 *
 * @param {string} caption
 * @param {string} word
 */
export const complete = (caption, word) => `${caption.replace(/\S*$/, "")}${word} `;

/**
 * Whether all that is wrong with a caption is that its last word is still being written.
 *
 * @param {string} caption
 * @param {Facts} facts
 */
export function unfinished(caption, facts) {
  const strange = unknownWords(caption, facts);
  const last = wordsOf(caption).at(-1);
  return strange.length === 1 && strange[0] === last && completions(caption, facts.words).length > 0;
}

/**
 * What is wrong with a caption, in one line, or nothing.
 *
 * @param {string} caption
 * @param {Facts} facts
 */
export function fault(caption, facts) {
  if (!caption.trim()) return 'The caption is empty. Say what to draw, for example "a red circle".';
  const strange = [...new Set(unknownWords(caption, facts))];
  if (strange.length === 0) return "";
  const named = strange.map((word) => `"${word}"`).join(", ");
  return `The model does not know ${named}. It knows: ${facts.words.join(", ")}.`;
}

export class CaptionBox {
  /**
   * @param {HTMLInputElement} input
   * @param {HTMLElement} list Where completions are shown.
   * @param {HTMLElement} marked Where the caption is shown word by word, unknown words marked.
   * @param {Facts} facts
   */
  constructor(input, list, marked, facts) {
    this.input = input;
    this.list = list;
    this.marked = marked;
    this.facts = facts;
    this.active = -1;
    input.addEventListener("input", () => this.changed());
    input.addEventListener("keydown", (event) => this.key(event));
    input.addEventListener("blur", () => this.close());
    list.addEventListener("pointerdown", (event) => this.choose(event));
  }

  changed() {
    const options = completions(this.input.value, this.facts.words).slice(0, 8);
    this.active = -1;
    this.list.replaceChildren(...options.map((word, i) => this.option(word, i)));
    this.list.hidden = options.length === 0;
    this.input.setAttribute("aria-expanded", String(options.length > 0));
    this.input.removeAttribute("aria-activedescendant");
    this.mark();
  }

  /** Show which words are unknown. */
  mark() {
    const writing = unfinished(this.input.value, this.facts);
    const strange = writing ? [] : unknownWords(this.input.value, this.facts);
    this.input.setAttribute("aria-invalid", String(!writing && fault(this.input.value, this.facts) !== ""));
    const words = this.input.value.split(/\s+/).filter(Boolean);
    const shown = strange.length ? words : [];
    this.marked.replaceChildren(
      ...shown.flatMap((word) => [
        make(strange.includes(word.toLowerCase()) ? "mark" : "span", { textContent: word }),
        document.createTextNode(" "),
      ]),
    );
  }

  /**
   * @param {string} word
   * @param {number} i
   */
  option(word, i) {
    const option = make("li", { id: `lab-word-${i}`, textContent: word });
    option.setAttribute("role", "option");
    return option;
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    const options = this.list.children.length;
    if (event.key === "Escape") return this.close();
    if (options === 0) return;
    if (event.key === "ArrowDown") this.move((this.active + 1) % options);
    else if (event.key === "ArrowUp") this.move((this.active + options - 1) % options);
    else if (event.key === "Enter" && this.active >= 0) this.accept(this.active);
    else return;
    event.preventDefault();
  }

  /** @param {number} active */
  move(active) {
    this.active = Math.max(active, 0);
    for (const [i, option] of [...this.list.children].entries())
      option.setAttribute("aria-selected", String(i === this.active));
    this.input.setAttribute("aria-activedescendant", `lab-word-${this.active}`);
  }

  /** @param {number} i */
  accept(i) {
    this.input.value = complete(this.input.value, this.list.children[i].textContent ?? "");
    this.close();
    this.input.dispatchEvent(new Event("input", { bubbles: true }));
  }

  /** @param {PointerEvent} event */
  choose(event) {
    event.preventDefault(); // the input keeps the focus
    const i = [...this.list.children].indexOf(/** @type {Element} */ (event.target));
    if (i >= 0) this.accept(i);
  }

  close() {
    this.list.hidden = true;
    this.list.replaceChildren();
    this.active = -1;
    this.input.setAttribute("aria-expanded", "false");
    this.input.removeAttribute("aria-activedescendant");
  }
}
