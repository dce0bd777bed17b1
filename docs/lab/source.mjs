/**
 * The source of the solver that runs, a line lit. What is shown is the function itself, asked for its own text.
 *
 * @module
 */

import { make } from "./dom.mjs";
import { SOLVERS } from "./solvers.mjs";

/**
 * Lines of a solver's source. A line whose comment begins with a number belongs to that stage of a step.
 *
 * @param {string} solver
 * @returns {{ text: string, stage: number }[]}
 */
export const sourceOf = (solver) =>
  SOLVERS[solver]
    .toString()
    .split("\n")
    .map((text) => ({ text, stage: Number(/\/\/ (\d) /.exec(text)?.[1] ?? 0) }));

/**
 * @param {HTMLElement} parent
 * @param {string} solver
 */
export function showSource(parent, solver) {
  const lines = sourceOf(solver).map(({ text, stage }) => {
    const line = make("span", { class: "line", textContent: text || " " });
    if (stage) line.dataset.stage = String(stage);
    return line;
  });
  parent.replaceChildren(...lines);
}

/**
 * Light what belongs to one stage: lines of the source, and tiles.
 *
 * @param {HTMLElement} root
 * @param {number} stage 0 lights nothing.
 */
export function light(root, stage) {
  for (const part of root.querySelectorAll("[data-stage]"))
    if (part instanceof HTMLElement) part.classList.toggle("lit", Number(part.dataset.stage) === stage && stage > 0);
}

let timers = /** @type {number[]} */ ([]);

/**
 * Go through the stages of a step, one after the other.
 *
 * @param {HTMLElement} root
 * @param {number} period Milliseconds for all of them.
 */
export function walk(root, period) {
  for (const timer of timers) clearTimeout(timer);
  timers = [1, 2, 3, 4, 0].map((stage, i) => window.setTimeout(() => light(root, stage), (i * period) / 4));
}
