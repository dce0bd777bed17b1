/**
 * What the browser remembers from one visit to the next. A reader may have forbidden it; then nothing is remembered.
 *
 * @module
 */

const LOADED = "lab-loaded"; // who has loaded the lab once need not press the button again

export const wasLoaded = () => allowed(() => localStorage.getItem(LOADED) !== null) ?? false;

export const rememberLoaded = () => allowed(() => localStorage.setItem(LOADED, "yes"));

/**
 * @template T
 * @param {() => T} act
 */
function allowed(act) {
  try {
    return act();
  } catch {
    return undefined;
  }
}
