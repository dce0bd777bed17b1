/**
 * The panel of attention: words above, patches below. Point at one side, and the other lights up.
 *
 * @module
 */

import { make } from "./dom.mjs";

/** @typedef {import("./attention.mjs").Attention} Attention */

const FAINT = 0.02; // where nothing gets more than this share, nothing is lit fully

export class Looking {
  /**
   * @param {HTMLElement} words
   * @param {HTMLElement} patches
   * @param {HTMLElement} said
   * @param {number} side Patches in a row.
   */
  constructor(words, patches, said, side) {
    this.words = words;
    this.patches = patches;
    this.said = said;
    this.side = side;
    this.tokens = /** @type {string[]} */ ([]);
    /** @type {{ kind: "word" | "patch", i: number }} */
    this.at = { kind: "word", i: 0 };
    /** @type {Attention | undefined} */
    this.attention = undefined;
    this.layer = 0;
    for (let i = 0; i < side * side; i++) patches.append(this.patch(i));
    patches.addEventListener("keydown", (event) => this.key(event));
  }

  /** @param {number} i */
  patch(i) {
    const name = `patch in row ${Math.floor(i / this.side) + 1}, column ${(i % this.side) + 1}`;
    const button = make("button", { type: "button", ariaLabel: name, tabIndex: i === 0 ? 0 : -1 });
    return this.pointed(button, { kind: "patch", i });
  }

  /**
   * @param {HTMLButtonElement} button
   * @param {{ kind: "word" | "patch", i: number }} at
   */
  pointed(button, at) {
    for (const event of ["pointerenter", "focus", "click"])
      button.addEventListener(event, () => {
        this.at = at;
        this.said.ariaLive = "polite";
        this.draw();
      });
    return button;
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    const way = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -this.side, ArrowDown: this.side }[event.key];
    const to = way === undefined || this.at.kind !== "patch" ? undefined : this.patches.children[this.at.i + way];
    if (!(to instanceof HTMLElement)) return;
    event.preventDefault();
    to.focus();
  }

  /**
   * A new prompt.
   *
   * @param {string[]} tokens
   */
  begin(tokens) {
    this.tokens = tokens;
    const buttons = tokens.map((token, i) => {
      const button = make(
        "button",
        { type: "button" },
        make("span", { textContent: i ? token : "begin" }),
        make("small"),
      );
      return this.pointed(button, { kind: "word", i });
    });
    this.words.replaceChildren(...buttons);
    const first = tokens.findIndex((_, i) => i > 2);
    this.at = { kind: "word", i: Math.min(Math.max(first, 0), tokens.length - 1) };
  }

  /**
   * Another step is shown. It is not read aloud: a film would never stop talking.
   *
   * @param {Attention} attention
   * @param {number} layer
   */
  update(attention, layer) {
    this.attention = attention;
    this.layer = layer;
    this.said.ariaLive = "off";
    this.draw();
  }

  draw() {
    if (!this.attention) return;
    const { kind, i } = this.at;
    if (kind === "word") this.light(this.patches, this.attention.toWord(this.layer, i));
    else this.light(this.words, this.attention.ofPatch(this.layer, i));
    const own = kind === "word" ? this.words : this.patches;
    for (const [j, child] of [...own.children].entries()) {
      child.classList.toggle("pointed", j === i);
      if (child instanceof HTMLElement) child.style.setProperty("--lit", "0");
    }
    for (const child of (kind === "word" ? this.patches : this.words).children) child.classList.remove("pointed");
    this.tell(kind, i);
  }

  /**
   * @param {HTMLElement} parent
   * @param {number[]} shares
   */
  light(parent, shares) {
    const most = Math.max(...shares, FAINT);
    for (const [j, child] of [...parent.children].entries()) {
      if (!(child instanceof HTMLElement)) continue;
      child.style.setProperty("--lit", String(shares[j] / most));
      const percent = child.querySelector("small");
      if (percent) percent.textContent = `${(100 * shares[j]).toFixed(0)} %`;
    }
  }

  /**
   * @param {"word" | "patch"} kind
   * @param {number} i
   */
  tell(kind, i) {
    const attention = /** @type {Attention} */ (this.attention);
    if (kind === "word") {
      for (const percent of this.words.querySelectorAll("small")) percent.textContent = "";
      const most = Math.max(...attention.toWord(this.layer, i));
      this.said.textContent = `Lit: the patches that attend to "${this.tokens[i]}". The brightest gives it ${(100 * most).toFixed(1)} % of its attention.`;
    } else {
      const given = attention.ofPatch(this.layer, i).reduce((sum, share) => sum + share);
      this.said.textContent = `Row ${Math.floor(i / this.side) + 1}, column ${(i % this.side) + 1}: this patch gives ${(100 * given).toFixed(0)} % of its attention to the prompt, the rest to the time and to patches before it.`;
    }
  }
}
