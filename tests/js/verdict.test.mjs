import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { components } from "../../docs/lab/score.mjs";
import { holds, parse, verdict } from "../../docs/lab/verdict.mjs";

const facts = JSON.parse(readFileSync(new URL("../../docs/lab/graphs/lab.json", import.meta.url), "utf8"));
const { world } = facts;

/** @type {(colour: string, shape: string, x: number, y: number) => import("../../docs/lab/score.mjs").Thing} */
const thing = (colour, shape, x, y) => ({ colour, shape, x, y });

/**
 * A picture with one square of this colour, 16 pixels wide, whose centre is (24, 24).
 *
 * @param {number[]} colour
 */
function square(colour) {
  const pixels = new Uint8ClampedArray(4 * 48 * 48);
  for (let i = 0; i < 48 * 48; i++) {
    const inside = Math.abs((i % 48) - 23.5) < 8 && Math.abs(Math.floor(i / 48) - 23.5) < 8;
    pixels.set([...(inside ? colour : world.paper), 255], 4 * i);
  }
  return pixels;
}

test("captions of every kind are understood, and others are not", () => {
  assert.deepEqual(parse("three red stars", world)?.kinds.length, 3);
  assert.deepEqual(parse("a red circle left of a blue square", world), {
    kinds: [
      { colour: "red", shape: "circle" },
      { colour: "blue", shape: "square" },
    ],
    relation: "left of",
  });
  for (const caption of facts.examples) assert.ok(parse(caption, world), caption);
  for (const caption of ["red", "a orange circle", "two circle", "a star and two circles", "a a circle"])
    assert.equal(parse(caption, world), undefined, caption);
});

test("a caption holds of what it says exactly", () => {
  const scene = [thing("blue", "square", 30, 20), thing("red", "circle", 10, 22)];
  const asked = (/** @type {string} */ caption) =>
    holds(/** @type {import("../../docs/lab/verdict.mjs").Caption} */ (parse(caption, world)), scene, world);
  assert.ok(asked("a red circle left of a blue square"));
  assert.ok(asked("a square and a circle"));
  assert.ok(!asked("a red circle right of a blue square"));
  assert.ok(!asked("a red circle above a blue square"));
  assert.ok(!asked("a red circle"));
});

test("pixels that touch at a corner are one thing", () => {
  assert.deepEqual(
    components([true, false, false, true], 2).map((component) => component.size),
    [2],
  );
});

test("a drawn square is seen as what it is", () => {
  assert.equal(verdict("a blue square", square(world.palette.blue), facts).obeys, true);
  const wrong = verdict("a red circle", square(world.palette.blue), facts);
  assert.equal(wrong.obeys, false);
  assert.match(wrong.text, /Seen: blue square/);
  assert.equal(verdict("two red", square(world.palette.blue), facts).obeys, null);
});
