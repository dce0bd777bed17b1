/**
 * The lab's worker: everything heavy happens here, so the page never waits.
 *
 * It is told { kind: "start" }, then { kind: "run", id, settings, bug } or { kind: "cancel" }. A new run ends the old one. It tells
 * "loaded" (bytes), "ready", "stage" (of the step that is computed), "frame" (one for each step of each run), "ended" (with a verdict
 * on each side, unless the run was cancelled) and "failed".
 *
 * @module
 */

import { downloadAll } from "./download.mjs";
import { Engine } from "./engine.mjs";
import { loadFacts } from "./facts.mjs";
import { frames } from "./run.mjs";
import { verdict } from "./verdict.mjs";

/** @typedef {import("./run.mjs").Settings} Settings */
/** @typedef {{ kind: "run", id: number, settings: Settings, bug?: string }} Order */
/** @typedef {Awaited<ReturnType<typeof prepare>>} Prepared */

/** @type {Promise<Prepared> | undefined} */
let prepared;
let current = 0;

/** @param {object} message */
const tell = (message) => self.postMessage(message);

async function prepare() {
  const [facts, files] = await Promise.all([loadFacts(), downloadAll((bytes) => tell({ kind: "loaded", bytes }))]);
  const engine = await Engine.start(files, facts);
  tell({ kind: "ready" });
  return { engine, facts, noise: new Float32Array(files.noise.buffer) };
}

/** Let messages in: a cancelled run ends here. */
const breath = () =>
  new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = resolve;
    port2.postMessage(null);
  });

/** @param {Order} order */
async function run({ id, settings, bug }) {
  current = id;
  const { engine, facts, noise } = await /** @type {Promise<Prepared>} */ (prepared);
  const sides = bug ? [undefined, bug] : [undefined];
  /** @param {number} stage */
  const enter = (stage) => tell({ kind: "stage", id, stage });
  let open = sides.map((planted, side) => ({ side, steps: frames(engine, facts, noise, settings, planted, enter) }));
  /** @type {Uint8ClampedArray[]} */
  const pictures = [];
  while (open.length > 0) {
    const still = [];
    for (const { side, steps } of open) {
      await breath();
      if (current !== id) return tell({ kind: "ended", id, evaluations: engine.evaluations });
      const { done, value } = await steps.next();
      if (done) continue;
      tell({ kind: "frame", id, side, frame: value });
      pictures[side] = value.denoisedPicture;
      still.push({ side, steps });
    }
    open = still;
  }
  const verdicts = pictures.map((picture) => verdict(settings.caption, picture, facts));
  tell({ kind: "ended", id, verdicts, evaluations: engine.evaluations });
}

/** @param {unknown} error */
const fail = (error) => tell({ kind: "failed", reason: error instanceof Error ? error.message : String(error) });

self.addEventListener("message", ({ data }) => {
  if (data.kind === "start") {
    prepared ??= prepare();
    prepared.catch(fail);
  }
  if (data.kind === "cancel") current = 0;
  if (data.kind === "run") run(data).catch(fail);
});
