/**
 * The page's side of the worker: orders go out, and what the worker tells is handed to whoever listens.
 *
 * @module
 */

/** @typedef {import("./run.mjs").Settings} Settings */
/** @typedef {import("./run.mjs").Frame} Frame */
/** @typedef {ReturnType<typeof import("./verdict.mjs").verdict>} Verdict */
/**
 * @typedef {object} Listener
 * @property {(bytes: number) => void} loaded
 * @property {() => void} ready
 * @property {(stage: number) => void} stage Which stage of a step is computed now.
 * @property {(side: number, frame: Frame) => void} frame Side 0 is right, side 1 has the bug.
 * @property {(verdicts?: Verdict[]) => void} ended A whole run has a verdict for each side; one that was cancelled has none.
 * @property {(reason: string) => void} failed
 */

export class Client {
  /** @param {Listener} listener */
  constructor(listener) {
    this.listener = listener;
    this.id = 0;
    this.evaluations = 0;
    this.worker = new Worker(new URL("worker.mjs", import.meta.url), { type: "module" });
    this.worker.addEventListener("message", ({ data }) => this.hear(data));
    this.worker.addEventListener("error", (event) =>
      listener.failed(event.message || "the worker could not be started"),
    );
    this.worker.postMessage({ kind: "start" });
  }

  /**
   * @param {Settings} settings
   * @param {string} [bug]
   */
  run(settings, bug) {
    this.id++;
    this.worker.postMessage({ kind: "run", id: this.id, settings, bug });
  }

  cancel() {
    this.worker.postMessage({ kind: "cancel" });
  }

  /** @param {any} message */
  hear(message) {
    const { listener } = this;
    if (message.kind === "loaded") listener.loaded(message.bytes);
    if (message.kind === "ready") listener.ready();
    if (message.kind === "failed") listener.failed(message.reason);
    if (message.kind === "ended") this.evaluations = message.evaluations;
    if (message.id !== this.id) return; // of a run that was cancelled
    if (message.kind === "stage") listener.stage(message.stage);
    if (message.kind === "frame") listener.frame(message.side, message.frame);
    if (message.kind === "ended") listener.ended(message.verdicts);
  }
}
