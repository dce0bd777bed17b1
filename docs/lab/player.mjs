/**
 * Plays the frames of a run like a film: play, pause, step, scrub, speed.
 *
 * While a run goes on, the newest frame is shown, until the reader takes the controls.
 *
 * @module
 */

import { find } from "./dom.mjs";

const STEP = 1200; // milliseconds for a walk through one step that the reader asked for

export class Player {
  /**
   * @param {HTMLElement} root The controls.
   * @param {(frame: number) => void} show
   * @param {(period: number) => void} walk Goes through the stages of the step that is shown, in so many milliseconds.
   */
  constructor(root, show, walk) {
    this.show = show;
    this.walk = walk;
    this.slider = find(root, "[name=frame]", HTMLInputElement);
    this.button = find(root, "[data-do=play]", HTMLButtonElement);
    this.speed = find(root, "[name=speed]", HTMLSelectElement);
    this.total = 0;
    this.arrived = 0;
    this.shown = 0;
    this.follows = true;
    this.timer = 0;
    this.still = matchMedia("(prefers-reduced-motion: reduce)");
    this.button.addEventListener("click", () => (this.timer ? this.pause() : this.play()));
    find(root, "[data-do=back]", HTMLButtonElement).addEventListener("click", () => this.take(this.shown - 1));
    find(root, "[data-do=forward]", HTMLButtonElement).addEventListener("click", () => {
      this.take(this.shown + 1);
      if (!this.still.matches) this.walk(STEP);
    });
    this.slider.addEventListener("input", () => this.take(Number(this.slider.value)));
    this.speed.addEventListener("change", () => this.timer && this.play());
  }

  /**
   * A new run begins.
   *
   * @param {number} total How many frames it will have.
   */
  begin(total) {
    this.pause();
    this.total = total;
    this.arrived = 0;
    this.follows = !this.still.matches;
    this.slider.max = String(total - 1);
    this.slider.setAttribute("aria-valuetext", `1 of ${total}`);
  }

  /** One more frame is there. */
  arrive() {
    this.arrived++;
    if (this.follows || this.arrived === 1) this.go(this.arrived - 1);
  }

  /**
   * All frames are there. Show the one that was asked for, or the last; but leave the reader where they went.
   *
   * @param {number} frame -1 is the last.
   */
  end(frame) {
    if (this.follows || this.still.matches || frame >= 0) this.go(frame < 0 ? this.arrived - 1 : frame);
  }

  /**
   * The reader chooses a frame.
   *
   * @param {number} frame
   */
  take(frame) {
    this.pause();
    this.follows = false;
    this.go(frame);
  }

  play() {
    this.pause();
    this.follows = false;
    if (this.shown >= this.total - 1) this.go(0);
    this.timer = window.setInterval(() => this.tick(), 1000 / Number(this.speed.value));
    this.label();
  }

  tick() {
    if (this.shown >= this.total - 1) return this.pause();
    this.go(this.shown + 1);
    if (!this.still.matches) this.walk(1000 / Number(this.speed.value));
  }

  pause() {
    clearInterval(this.timer);
    this.timer = 0;
    this.label();
  }

  label() {
    this.button.setAttribute("aria-label", this.timer ? "pause" : "play");
    this.button.classList.toggle("playing", this.timer > 0);
  }

  /** @param {number} frame */
  go(frame) {
    if (this.arrived === 0) return;
    this.shown = Math.min(Math.max(frame, 0), this.arrived - 1);
    this.slider.value = String(this.shown);
    this.slider.setAttribute("aria-valuetext", `${this.shown + 1} of ${this.total}`);
    this.show(this.shown);
  }
}
