/**
 * The guidance compass: the two velocities of recorded runs as arrows, and the guided one on the line through their tips.
 *
 * docs/compass.py made the record with the bundled model. The chapter guidance.md has the markup.
 *
 * @module
 */

import { guide, tipsOf, weightAt } from "./guide.mjs";
import { Plane } from "./plane.mjs";

/** @typedef {import("./field.mjs").Point} Point */
/** @typedef {import("./guide.mjs").Tips} Tips */
/** @typedef {import("./guide.mjs").Measured} Measured */
/**
 * @typedef {object} Record What docs/compass.py wrote.
 * @property {number[]} weights
 * @property {number} steps
 * @property {number[]} times
 * @property {{ caption: string, seed: number, velocities: Measured[][], fits: boolean[] }[]} runs
 */

const HALF = 1.75; // what is seen: a square of twice this side ..
const MIDDLE = /** @type {Point} */ ([0.95, 1.45]); // .. around this place, so that the origin lies low and left

const ROOM = 0.1; // dots that are nearer to each other than this carry no number

/** @type {(tip: Point) => Point} Where a place of the velocities' plane lies on the canvas. */
const shown = (tip) => [tip[0] - MIDDLE[0], tip[1] - MIDDLE[1]];

class Compass {
  /**
   * @param {HTMLFormElement} form
   * @param {Record} record
   * @param {URL} folder
   */
  constructor(form, record, folder) {
    this.form = form;
    this.record = record;
    this.folder = folder;
    const canvas = /** @type {HTMLCanvasElement} */ (form.querySelector("canvas"));
    this.plane = new Plane(canvas, HALF);
    const captions = /** @type {HTMLSelectElement} */ (form.querySelector("select"));
    captions.append(...record.runs.map(({ caption }, i) => new Option(caption, String(i))));
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("input", () => this.show());
    canvas.addEventListener("pointerdown", (event) => this.point(event));
    canvas.addEventListener("pointermove", (event) => event.buttons && this.point(event));
    new ResizeObserver(() => this.show()).observe(canvas);
    new MutationObserver(() => this.show()).observe(document.body, { attributeFilter: ["data-md-color-scheme"] });
  }

  /**
   * Which run, weight and moment the controls say, as indices of the record.
   *
   * @returns {{ run: number, w: number, k: number }}
   */
  get chosen() {
    const { run, w, k } = Object.fromEntries(new FormData(this.form));
    return { run: Number(run), w: Number(w), k: Number(k) };
  }

  /** @param {PointerEvent} event */
  point(event) {
    const { run, w, k } = this.chosen;
    const [x, y] = this.plane.under(event);
    const tips = tipsOf(this.record.runs[run].velocities[w][k]);
    const weight = weightAt(tips, [x + MIDDLE[0], y + MIDDLE[1]]);
    const slider = /** @type {HTMLInputElement} */ (this.form.elements.namedItem("w"));
    slider.value = String(Math.round(2 * weight)); // the slider keeps it between its ends
    this.show();
  }

  show() {
    const { run, w, k } = this.chosen;
    const { runs, weights, times } = this.record;
    const { velocities, fits } = runs[run];
    const measured = velocities[w][k];
    const tips = tipsOf(measured);
    this.draw(tips, weights[w]);
    this.frame("now", run, w, k);
    this.frame("last", run, w, times.length - 1);
    this.say("w", weights[w].toFixed(1));
    this.say("k", times[k].toFixed(2));
    const difference = Math.hypot(tips.cond[0] - tips.uncond[0], tips.cond[1] - tips.uncond[1]);
    const angle = (Math.acos(measured[2]) * 180) / Math.PI;
    this.say("angle", `${angle.toFixed(0)}°`);
    this.say("share", `${Math.round((100 * difference) / measured[1])} %`);
    this.say("length", Math.hypot(...guide(tips, weights[w])).toFixed(2));
    this.say("fits", fits[w] ? "yes" : "no");
  }

  /**
   * @param {Tips} tips
   * @param {number} w
   */
  draw(tips, w) {
    const { plane } = this;
    const [ink, uncond, cond, red] = ["ink", "noise", "data", "red"].map((name) => plane.colour(`lab-${name}`));
    const origin = shown([0, 0]);
    const whole = this.record.weights.filter(Number.isInteger);
    const marks = whole.map((weight) => shown(guide(tips, weight)));
    const apart = Math.hypot(marks[1][0] - marks[0][0], marks[1][1] - marks[0][1]);
    plane.clear();
    plane.tracks([[shown(guide(tips, 0)), shown(guide(tips, 8))]], 1.5, ink, { dash: [4, 4] });
    plane.dots(marks, 3, ink);
    if (apart > ROOM) for (const weight of whole) plane.words(marks[weight], weight ? `${weight}` : "w = 0", ink);
    plane.arrow(origin, shown(tips.uncond), 3, uncond);
    plane.arrow(origin, shown(tips.cond), 3, cond);
    plane.arrow(origin, shown(guide(tips, w)), 4, red);
    plane.dots([origin], 4, ink);
  }

  /**
   * Show one picture of the run's sheet: weights to the right, moments downwards.
   *
   * @param {string} name
   * @param {number} run
   * @param {number} w
   * @param {number} k
   */
  frame(name, run, w, k) {
    const frame = /** @type {HTMLElement} */ (this.form.querySelector(`.frame[data-shows=${name}]`));
    const [columns, rows] = [this.record.weights.length, this.record.times.length];
    frame.style.backgroundImage = `url("${new URL(`${run}.webp`, this.folder)}")`;
    frame.style.backgroundSize = `${100 * columns}% ${100 * rows}%`;
    frame.style.backgroundPosition = `${(100 * w) / (columns - 1)}% ${(100 * k) / (rows - 1)}%`;
  }

  /**
   * @param {string} name
   * @param {string} text
   */
  say(name, text) {
    const output = /** @type {HTMLElement} */ (this.form.querySelector(`[data-says=${name}]`));
    output.textContent = text;
  }
}

for (const form of /** @type {NodeListOf<HTMLFormElement>} */ (document.querySelectorAll("form.compass"))) {
  const folder = new URL("../compass/", import.meta.url);
  const answer = await fetch(new URL("record.json", folder));
  new Compass(form, await answer.json(), folder);
  form.classList.add("lives");
}
