/**
 * Plays time from 0 to 1. For readers who asked for less motion it goes step by step instead of gliding.
 *
 * @module
 */

const DURATION = 5000; // milliseconds from noise to data
const PAUSE = 700; // milliseconds a step, without gliding

export class Player {
  /**
   * @param {object} about
   * @param {() => number} about.time Where we are.
   * @param {() => number} about.steps How many steps there are, for those who do not glide.
   * @param {(t: number) => void} about.show
   * @param {(plays: boolean) => void} about.tell Hears when it begins and ends.
   */
  constructor({ time, steps, show, tell }) {
    this.time = time;
    this.steps = steps;
    this.show = show;
    this.tell = tell;
    this.plays = false;
  }

  /** Begin, from the start if we are at the end; or end. */
  toggle() {
    if (this.plays) this.stop();
    else this.start();
  }

  stop() {
    this.plays = false;
    this.tell(false);
  }

  start() {
    this.plays = true;
    this.tell(true);
    if (this.time() >= 1) this.show(0);
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) this.step();
    else this.glide(performance.now());
  }

  /** @param {number} before When the last picture was shown. */
  glide(before) {
    requestAnimationFrame((now) => {
      if (!this.plays) return;
      this.show(Math.min(this.time() + (now - before) / DURATION, 1));
      if (this.time() >= 1) this.stop();
      else this.glide(now);
    });
  }

  step() {
    setTimeout(() => {
      if (!this.plays) return;
      const steps = this.steps();
      this.show(Math.min((Math.floor(this.time() * steps + 1e-6) + 1) / steps, 1));
      if (this.time() >= 1) this.stop();
      else this.step();
    }, PAUSE);
  }
}
