import assert from "node:assert/strict";

/**
 * Fail unless the two numbers differ by at most the tolerance.
 *
 * @param {number} found
 * @param {number} expected
 * @param {number} tolerance
 */
export const near = (found, expected, tolerance) =>
  assert.ok(Math.abs(found - expected) <= tolerance, `found ${found}, expected ${expected} within ${tolerance}`);
