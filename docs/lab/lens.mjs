/**
 * A magnifying glass: the numbers around the place of a tile that the pointer, or the arrow keys, are on.
 *
 * @module
 */

import { colour } from "./colours.mjs";
import { indexOf, placeAt } from "./latents.mjs";

/** @typedef {{ name: string, latent?: Float32Array, pixels?: Uint8ClampedArray }} Shown What a tile shows: one or the other. */

const REACH = 2; // places on each side of the middle
const CELL = 46;

export class Lens {
  /**
   * @param {HTMLCanvasElement} canvas
   * @param {HTMLElement} said
   */
  constructor(canvas, said) {
    this.canvas = canvas;
    this.said = said;
    /** @type {{ tile: HTMLCanvasElement, what: () => Shown | undefined, x: number, y: number } | undefined} */
    this.at = undefined;
  }

  /**
   * Let this tile be looked at.
   *
   * @param {HTMLCanvasElement} tile
   * @param {() => Shown | undefined} what
   */
  attach(tile, what) {
    tile.tabIndex = 0;
    for (const event of /** @type {const} */ (["pointermove", "pointerdown"])) // a finger only touches
      tile.addEventListener(event, ({ clientX, clientY }) => {
        const box = tile.getBoundingClientRect();
        this.look(
          tile,
          what,
          Math.floor(((clientX - box.left) / box.width) * tile.width),
          Math.floor(((clientY - box.top) / box.height) * tile.height),
        );
      });
    tile.addEventListener("focus", () => {
      if (this.at?.tile !== tile) this.look(tile, what, tile.width >> 1, tile.height >> 1); // a pointer brought it elsewhere
    });
    tile.addEventListener("keydown", (event) => this.key(event, tile, what));
  }

  /**
   * @param {KeyboardEvent} event
   * @param {HTMLCanvasElement} tile
   * @param {() => Shown | undefined} what
   */
  key(event, tile, what) {
    const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (!way || this.at?.tile !== tile) return;
    event.preventDefault();
    this.look(tile, what, this.at.x + way[0], this.at.y + way[1]);
  }

  /**
   * @param {HTMLCanvasElement} tile
   * @param {() => Shown | undefined} what
   * @param {number} x
   * @param {number} y
   */
  look(tile, what, x, y) {
    this.at = { tile, what, x: Math.min(Math.max(x, 0), tile.width - 1), y: Math.min(Math.max(y, 0), tile.height - 1) };
    this.said.ariaLive = "polite";
    this.draw();
  }

  /** Another step is shown. It is not read aloud: a film would never stop talking. */
  update() {
    this.said.ariaLive = "off";
    this.draw();
  }

  draw() {
    const shown = this.at?.what();
    if (!this.at || !shown) return;
    const { x, y, tile } = this.at;
    this.canvas.width = CELL * (2 * REACH + 1) * devicePixelRatio;
    this.canvas.height = this.canvas.width;
    const pen = /** @type {CanvasRenderingContext2D} */ (this.canvas.getContext("2d"));
    pen.scale(devicePixelRatio, devicePixelRatio);
    for (let dy = -REACH; dy <= REACH; dy++)
      for (let dx = -REACH; dx <= REACH; dx++)
        if (x + dx >= 0 && y + dy >= 0 && x + dx < tile.width && y + dy < tile.height)
          cell(pen, dx + REACH, dy + REACH, read(shown, x + dx, y + dy, tile.width));
    pen.strokeStyle = "#e0218a";
    pen.lineWidth = 2;
    pen.strokeRect(REACH * CELL + 1, REACH * CELL + 1, CELL - 2, CELL - 2);
    this.said.textContent = `${shown.name}, ${read(shown, x, y, tile.width).said}`;
  }
}

/**
 * @param {Shown} shown
 * @param {number} x
 * @param {number} y
 * @param {number} width
 */
function read(shown, x, y, width) {
  if (shown.latent) {
    const side = width / 2;
    const place = placeAt(x, y, side);
    const value = shown.latent[indexOf(place, side)];
    const where = `channel ${place.channel + 1}, row ${place.row + 1}, column ${place.column + 1}`;
    return { fill: colour(value), lines: [value.toFixed(2)], said: `${where}: ${value.toFixed(3)}` };
  }
  const rgb = [
    .../** @type {Uint8ClampedArray} */ (shown.pixels).subarray(4 * (y * width + x), 4 * (y * width + x) + 3),
  ];
  return {
    fill: rgb,
    lines: rgb.map(String),
    said: `row ${y + 1}, column ${x + 1}: red ${rgb[0]}, green ${rgb[1]}, blue ${rgb[2]}`,
  };
}

/**
 * @param {CanvasRenderingContext2D} pen
 * @param {number} column
 * @param {number} row
 * @param {{ fill: readonly number[], lines: string[] }} what
 */
function cell(pen, column, row, { fill, lines }) {
  pen.fillStyle = `rgb(${fill.map(Math.round)})`;
  pen.fillRect(column * CELL, row * CELL, CELL, CELL);
  pen.fillStyle = 0.3 * fill[0] + 0.6 * fill[1] + 0.1 * fill[2] > 140 ? "#000" : "#fff";
  pen.font = "12px sans-serif";
  pen.textAlign = "center";
  for (const [i, line] of lines.entries())
    pen.fillText(line, (column + 0.5) * CELL, (row + 0.5) * CELL + 4 + 13 * (i - (lines.length - 1) / 2));
}
