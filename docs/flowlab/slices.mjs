/**
 * Long work in short slices, so that the page goes on answering.
 *
 * @module
 */

const SLICE = 12; // milliseconds, less than a frame

/**
 * Run a generator to its end, a slice at a time.
 *
 * @template T
 * @param {Generator<number, T, void>} work Yields the share that is done.
 * @param {(share: number) => void} tell Hears that share after each slice.
 * @param {AbortSignal} signal Ends the work.
 * @returns {Promise<T | undefined>} Nothing if it was ended.
 */
export async function inSlices(work, tell, signal) {
  while (!signal.aborted) {
    const end = performance.now() + SLICE;
    let state = work.next();
    while (!state.done && performance.now() < end) state = work.next();
    if (state.done) return state.value;
    tell(state.value);
    await new Promise((resolve) => setTimeout(resolve));
  }
  return undefined;
}
