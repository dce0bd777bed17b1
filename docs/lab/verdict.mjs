/**
 * Does the picture obey its caption? As in the package's shapes/caption.py: exactly what it says, nothing more.
 *
 * @module
 */

import { wordsOf } from "./prompt.mjs";
import { detect } from "./score.mjs";

/** @typedef {import("./facts.mjs").Facts} Facts */
/** @typedef {import("./facts.mjs").World} World */
/** @typedef {import("./score.mjs").Thing} Thing */
/** @typedef {{ colour: string | null, shape: string }} Kind */
/** @typedef {{ kinds: Kind[], relation: string | null }} Caption Every thing that must be there, and how the first stands to the second. */

/**
 * What a caption asks for, or undefined if it is no caption of this world.
 *
 * @param {string} caption
 * @param {World} world
 * @returns {Caption | undefined}
 */
export function parse(caption, world) {
  const text = wordsOf(caption).join(" ");
  const relation = Object.keys(world.relations).find((name) => text.includes(` ${name} `)) ?? null;
  const phrases = text.split(` ${relation ?? "and"} `).map((phrase) => things(phrase, world));
  if (phrases.length > 2 || phrases.some((kinds) => !kinds || (phrases.length === 2 && kinds.length !== 1)))
    return undefined;
  return { kinds: phrases.flatMap((kinds) => kinds ?? []), relation };
}

/**
 * The things of one phrase: "a red circle" is one, "three stars" are three.
 *
 * @param {string} phrase
 * @param {World} world
 * @returns {Kind[] | undefined}
 */
function things(phrase, { palette, outlines, counts, plurals }) {
  const words = phrase.split(" ");
  const [number, noun] = [words[0], words.at(-1) ?? ""];
  const colour = words.length === 3 ? words[1] : null;
  const count = number === "a" || number === "an" ? 1 : counts[number];
  const shape = Object.keys(outlines).find((name) => (count > 1 ? plurals[name] : name) === noun);
  const article = /^[aeiou]/.test(words[1] ?? "") ? "an" : "a";
  if (!count || !shape || words.length > 3 || (colour && !(colour in palette)) || (count === 1 && number !== article))
    return undefined;
  return Array.from({ length: count }, () => ({ colour, shape }));
}

/**
 * @param {Caption} caption
 * @param {Thing[]} scene
 * @param {World} world
 */
export const holds = ({ kinds, relation }, scene, world) =>
  scene.length === kinds.length && orders(scene).some((order) => fits(kinds, relation, order, world));

/** @type {(scene: Thing[]) => Thing[][]} */
const orders = (scene) =>
  scene.length === 0
    ? [[]]
    : scene.flatMap((thing, i) => orders(scene.toSpliced(i, 1)).map((rest) => [thing, ...rest]));

/**
 * @param {Kind[]} kinds
 * @param {string | null} relation
 * @param {Thing[]} order
 * @param {World} world
 */
function fits(kinds, relation, order, { relations }) {
  const named = kinds.every(
    ({ colour, shape }, i) => shape === order[i].shape && (!colour || colour === order[i].colour),
  );
  if (!named || !relation) return named;
  const [ux, uy] = relations[relation];
  const [dx, dy] = [order[0].x - order[1].x, order[0].y - order[1].y];
  const along = ux * dx + uy * dy;
  return along > 0 && along >= Math.abs(uy * dx + ux * dy);
}

/**
 * What can be said of a finished picture.
 *
 * @param {string} caption
 * @param {Uint8ClampedArray} pixels
 * @param {Facts} facts
 * @returns {{ text: string, obeys: boolean | null }}
 */
export function verdict(caption, pixels, { world }) {
  const asked = parse(caption, world);
  const scene = detect(pixels, world);
  const seen = scene.map(({ colour, shape }) => `${colour} ${shape}`).join(", ") || "nothing";
  if (!asked)
    return { text: `Seen: ${seen}. This is no caption of the small world, so nothing can be checked.`, obeys: null };
  const obeys = holds(asked, scene, world);
  return { text: obeys ? `✓ obeys its caption. Seen: ${seen}.` : `✗ does not obey its caption. Seen: ${seen}.`, obeys };
}
