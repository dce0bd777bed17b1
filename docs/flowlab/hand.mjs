/**
 * Moving points of the plane, by pointer and by keyboard.
 *
 * On the keyboard: Page Up and Page Down choose a point, the arrows move it, Insert adds one beside it, Delete removes it.
 *
 * @module
 */

import { MOST } from "./state.mjs";

/** @typedef {import("./field.mjs").Point} Point */
/** @typedef {import("./plane.mjs").Plane} Plane */
/** @typedef {import("./state.mjs").State} State */
/**
 * @typedef {object} Owner Whose points these are.
 * @property {State} state
 * @property {(rounds: number) => void} restart Called when a data point has changed.
 * @property {() => void} flow Called when the red noise has changed.
 * @property {() => void} draw Called when another point is chosen.
 * @property {(text: string) => void} tell
 */

const NEAR = 18; // pixels: what a finger can hit
const RED = -1;
/** @type {Record<string, Point>} */
const ARROWS = { ArrowLeft: [-0.1, 0], ArrowRight: [0.1, 0], ArrowUp: [0, 0.1], ArrowDown: [0, -0.1] };

export class Hand {
  /**
   * @param {Plane} plane
   * @param {Owner} owner
   */
  constructor(plane, owner) {
    this.plane = plane;
    this.owner = owner;
    this.chosen = RED;
    this.holds = false;
    const { canvas } = plane;
    canvas.addEventListener("pointerdown", (event) => this.take(event));
    canvas.addEventListener("pointermove", (event) => this.move(event));
    for (const kind of ["pointerup", "pointercancel"]) canvas.addEventListener(kind, () => this.release());
    // A finger on a point drags it; beside the points it scrolls the page.
    canvas.addEventListener("touchstart", (event) => this.hit(event.touches[0]) === null || event.preventDefault(), {
      passive: false,
    });
    canvas.addEventListener("keydown", (event) => this.press(event));
    for (const kind of ["focus", "blur"]) canvas.addEventListener(kind, () => owner.draw());
  }

  /** The point with the ring, or NaN where nobody would know what the ring means. */
  get ring() {
    return this.holds || document.activeElement === this.plane.canvas ? this.chosen : Number.NaN;
  }

  /**
   * The point under the pointer: its index, RED, or null.
   *
   * @param {{ clientX: number, clientY: number }} pointer
   */
  hit(pointer) {
    const place = this.plane.under(pointer);
    const reach = NEAR / (this.plane.unit ?? 1);
    /** @type {number?} */
    let best = null;
    let least = reach;
    for (const [i, point] of [this.owner.state.red, ...this.owner.state.points].entries()) {
      const away = Math.hypot(place[0] - point[0], place[1] - point[1]);
      if (away < least) [best, least] = [i - 1, away];
    }
    return best;
  }

  /** @param {PointerEvent} event */
  take(event) {
    const found = this.hit(event);
    if (found === null) return;
    this.chosen = found;
    this.holds = true;
    this.plane.canvas.setPointerCapture(event.pointerId);
    this.owner.draw();
  }

  /** @param {PointerEvent} event */
  move(event) {
    const { canvas } = this.plane;
    if (this.holds) this.put(this.plane.under(event));
    else canvas.style.cursor = this.hit(event) === null ? "" : "grab";
  }

  release() {
    if (this.holds) this.say();
    this.holds = false;
    this.owner.draw();
  }

  /**
   * Put the chosen point there, inside what is seen.
   *
   * @param {Point} place
   */
  put(place) {
    const { owner, chosen } = this;
    const { state } = owner;
    const [x, y] = place.map((number) => Math.min(Math.max(Number(number.toFixed(2)), -MOST.reach), MOST.reach));
    if (chosen === RED) {
      state.red = [x, y];
      owner.flow();
    } else {
      state.points = state.points.with(chosen, [x, y]);
      this.changed();
    }
  }

  changed() {
    this.owner.state.data = "own";
    this.owner.restart(0);
  }

  /** Add a point beside the chosen one. */
  add() {
    const { state, tell } = this.owner;
    if (state.points.length >= MOST.points)
      return tell.call(this.owner, `there are ${MOST.points} points, the most that the lab takes`);
    const [x, y] = this.chosen === RED ? [0, 0] : state.points[this.chosen];
    state.points = [...state.points, [Math.min(x + 0.4, MOST.reach), Math.min(y + 0.4, MOST.reach)]];
    this.chosen = state.points.length - 1;
    this.changed();
    this.say();
  }

  /** Remove the chosen point, or the last one. */
  remove() {
    const { state, tell } = this.owner;
    if (state.points.length < 2) return tell.call(this.owner, "one data point must stay");
    const index = this.chosen === RED ? state.points.length - 1 : this.chosen;
    state.points = state.points.toSpliced(index, 1);
    this.chosen = Math.min(index, state.points.length - 1);
    this.changed();
    this.say();
  }

  /** @param {KeyboardEvent} event */
  press(event) {
    const { points, red } = this.owner.state;
    const arrow = ARROWS[event.key];
    const [x, y] = this.chosen === RED ? red : points[this.chosen];
    if (arrow) this.put([x + arrow[0], y + arrow[1]]);
    else if (event.key === "PageDown") this.chosen = this.chosen + 1 < points.length ? this.chosen + 1 : RED;
    else if (event.key === "PageUp") this.chosen = this.chosen > RED ? this.chosen - 1 : points.length - 1;
    else if (event.key === "Insert") this.add();
    else if (event.key === "Delete") this.remove();
    else return;
    event.preventDefault();
    this.say();
    this.owner.draw();
  }

  /** Say which point is chosen and where it is. */
  say() {
    const { red, points } = this.owner.state;
    const { chosen } = this;
    const [x, y] = chosen === RED ? red : points[chosen];
    const name = chosen === RED ? "red noise" : `data point ${chosen + 1} of ${points.length}`;
    this.owner.tell(`${name}: ${x.toFixed(2)}, ${y.toFixed(2)}`);
  }
}
