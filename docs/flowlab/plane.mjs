/**
 * A canvas as a plane with the middle at (0, 0), and what is drawn on it: dots, tracks, arrows.
 *
 * @module
 */

/** @typedef {import("./field.mjs").Point} Point */

export class Plane {
  /**
   * @param {HTMLCanvasElement} canvas As wide as it is high.
   * @param {number} half What is seen goes from -half to half.
   */
  constructor(canvas, half) {
    this.canvas = canvas;
    this.half = half;
    this.pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
    this.style = getComputedStyle(canvas);
  }

  /** Take the size and the sharpness that the page has now, and empty the canvas. */
  clear() {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    const ratio = devicePixelRatio;
    this.unit = width / (2 * this.half);
    this.canvas.width = width * ratio;
    this.canvas.height = height * ratio;
    this.pen.setTransform(ratio, 0, 0, ratio, (width * ratio) / 2, (height * ratio) / 2);
  }

  /**
   * A colour of the style sheet, whatever the reader's scheme is.
   *
   * @param {string} name
   */
  colour(name) {
    return this.style.getPropertyValue(`--${name}`);
  }

  /**
   * Where on the plane a pointer is.
   *
   * @param {{ clientX: number, clientY: number }} pointer
   * @returns {Point}
   */
  under({ clientX, clientY }) {
    const box = this.canvas.getBoundingClientRect();
    const scale = (2 * this.half) / box.width;
    return [(clientX - box.left) * scale - this.half, this.half - (clientY - box.top) * scale];
  }

  /**
   * @param {Point} place
   * @returns {[number, number]} In pixels; upwards is positive on the plane.
   */
  pixel(place) {
    const unit = this.unit ?? 1;
    return [place[0] * unit, -place[1] * unit];
  }

  /**
   * @param {readonly Point[]} places
   * @param {number} radius In pixels.
   * @param {string} colour
   * @param {{ hollow?: boolean, alpha?: number }} [look]
   */
  dots(places, radius, colour, { hollow = false, alpha = 1 } = {}) {
    const { pen } = this;
    pen.globalAlpha = alpha;
    pen.fillStyle = pen.strokeStyle = colour;
    pen.lineWidth = 2;
    for (const place of places) {
      pen.beginPath();
      pen.arc(...this.pixel(place), radius, 0, 2 * Math.PI);
      if (hollow) pen.stroke();
      else pen.fill();
    }
    pen.globalAlpha = 1;
  }

  /**
   * @param {readonly (readonly Point[])[]} tracks
   * @param {number} width In pixels.
   * @param {string} colour
   * @param {{ alpha?: number, dash?: number[] }} [look]
   */
  tracks(tracks, width, colour, { alpha = 1, dash = [] } = {}) {
    const { pen } = this;
    pen.globalAlpha = alpha;
    pen.strokeStyle = colour;
    pen.lineWidth = width;
    pen.setLineDash(dash);
    pen.beginPath();
    for (const [start, ...rest] of tracks) {
      pen.moveTo(...this.pixel(start));
      for (const place of rest) pen.lineTo(...this.pixel(place));
    }
    pen.stroke();
    pen.setLineDash([]);
    pen.globalAlpha = 1;
  }

  /**
   * @param {Point} from
   * @param {Point} to
   * @param {number} width In pixels.
   * @param {string} colour
   * @param {number} [alpha]
   */
  arrow(from, to, width, colour, alpha = 1) {
    const [[x0, y0], [x1, y1]] = [this.pixel(from), this.pixel(to)];
    const length = Math.hypot(x1 - x0, y1 - y0);
    if (length < 1) return;
    const head = Math.min(3 + 2.5 * width, length);
    const [ux, uy] = [(x1 - x0) / length, (y1 - y0) / length];
    const [bx, by] = [x1 - head * ux, y1 - head * uy];
    const { pen } = this;
    pen.globalAlpha = alpha;
    pen.strokeStyle = pen.fillStyle = colour;
    pen.lineWidth = width;
    pen.beginPath();
    pen.moveTo(x0, y0);
    pen.lineTo(bx, by);
    pen.stroke();
    pen.beginPath();
    pen.moveTo(x1, y1);
    pen.lineTo(bx - (head / 2) * uy, by + (head / 2) * ux);
    pen.lineTo(bx + (head / 2) * uy, by - (head / 2) * ux);
    pen.fill();
    pen.globalAlpha = 1;
  }

  /**
   * Write beside a place, to its right.
   *
   * @param {Point} place
   * @param {string} text
   * @param {string} colour
   */
  words(place, text, colour) {
    const [x, y] = this.pixel(place);
    this.pen.fillStyle = colour;
    this.pen.font = `12px ${this.style.fontFamily}`;
    this.pen.textBaseline = "middle";
    this.pen.fillText(text, x + 10, y);
  }
}
