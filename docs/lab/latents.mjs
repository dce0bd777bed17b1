/**
 * Latents and pictures on a canvas. The four channels of a latent stand as a square of squares.
 *
 * @module
 */

import { colour } from "./colours.mjs";

/** @typedef {{ channel: number, row: number, column: number }} Place */

/**
 * Which number of a latent stands at this place of the square of squares.
 *
 * @param {number} x
 * @param {number} y
 * @param {number} side Of one channel.
 * @returns {Place}
 */
export const placeAt = (x, y, side) => ({
  channel: 2 * Math.floor(y / side) + Math.floor(x / side),
  row: y % side,
  column: x % side,
});

/**
 * Where in the latent's list of numbers this place is.
 *
 * @param {Place} place
 * @param {number} side
 */
export const indexOf = ({ channel, row, column }, side) => (channel * side + row) * side + column;

/**
 * @param {HTMLCanvasElement} canvas
 * @param {Float32Array} latent Four channels.
 */
export function drawLatent(canvas, latent) {
  const side = Math.sqrt(latent.length / 4);
  const pixels = new Uint8ClampedArray(4 * latent.length).fill(255);
  for (let y = 0; y < 2 * side; y++)
    for (let x = 0; x < 2 * side; x++)
      pixels.set(colour(latent[indexOf(placeAt(x, y, side), side)]), 4 * (2 * side * y + x));
  drawPicture(canvas, pixels);
}

/**
 * @param {HTMLCanvasElement} canvas
 * @param {Uint8ClampedArray} pixels Red, green, blue and 255, row by row, as many rows as columns.
 */
export function drawPicture(canvas, pixels) {
  const side = Math.sqrt(pixels.length / 4);
  canvas.width = side;
  canvas.height = side;
  const image = new ImageData(/** @type {Uint8ClampedArray<ArrayBuffer>} */ (pixels), side, side);
  canvas.getContext("2d")?.putImageData(image, 0, 0);
}
