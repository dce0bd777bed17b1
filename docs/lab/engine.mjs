/**
 * The model: three graphs that onnxruntime computes, in WebAssembly, on one thread.
 *
 * @module
 */

import * as ort from "../vendor/onnxruntime/ort.wasm.min.mjs";

/** @typedef {import("./flow.mjs").Latent} Latent */
/** @typedef {import("./prompt.mjs").Rows} Rows */
/** @typedef {import("./facts.mjs").Facts} Facts */
/** @typedef {Record<string, ort.Tensor>} Cache The prompt's keys and values. */
/** @typedef {{ vCond: Latent, vUncond: Latent, attention: Float32Array | undefined }} Velocity */

/** @type {(data: ArrayLike<number>, dims: number[]) => ort.Tensor} */
const floats = (data, dims) => new ort.Tensor("float32", Float32Array.from(data), dims);

export class Engine {
  /**
   * @param {Record<"prefill" | "step" | "decode", ort.InferenceSession>} graphs
   * @param {Facts} facts
   */
  constructor(graphs, facts) {
    this.graphs = graphs;
    this.dims = [1, ...facts.latent];
    this.evaluations = 0;
  }

  /**
   * Start the runtime and load the graphs. The weights are the checkpoint's own files, to which the graphs refer by name.
   *
   * @param {Record<string, Uint8Array>} files What download.mjs loads.
   * @param {Facts} facts
   */
  static async start(files, facts) {
    ort.env.wasm.numThreads = 1; // more would need headers that a simple server does not send
    ort.env.wasm.wasmPaths = new URL("../vendor/onnxruntime/", import.meta.url).href;
    ort.env.wasm.wasmBinary = /** @type {ArrayBuffer} */ (files.runtime.buffer);
    ort.env.logLevel = "error";
    const model = [{ path: "model.safetensors", data: files.model }];
    const vae = [{ path: "diffusion_pytorch_model.safetensors", data: files.vae }];
    const prefill = await ort.InferenceSession.create(files.prefill, { externalData: model });
    const step = await ort.InferenceSession.create(files.step, { externalData: model });
    const decode = await ort.InferenceSession.create(files.decode, { externalData: vae });
    return new Engine({ prefill, step, decode }, facts);
  }

  /**
   * The prompt's keys and values, computed once for all steps.
   *
   * @param {Rows} rows
   * @returns {Promise<Cache>}
   */
  prefill(rows) {
    const ids = BigInt64Array.from(rows.flatMap((row) => row.ids.map(BigInt)));
    const told = prompt(rows);
    return this.graphs.prefill.run({ ids: new ort.Tensor("int64", ids, told.mask.dims), ...told });
  }

  /**
   * Both velocities at one point, and how much each new token attends to each token: layers, 2 rows, n, L + n.
   *
   * @param {Latent} z
   * @param {number} t
   * @param {Rows} rows
   * @param {Cache} cache
   * @param {boolean} looks Whether the attention is asked for.
   * @returns {Promise<Velocity>}
   */
  async velocity(z, t, rows, cache, looks) {
    this.evaluations++;
    const told = { z: floats(z, this.dims), t: floats([t], [1]), ...prompt(rows), ...cache };
    const out = await this.graphs.step.run(told, ["v_cond", "v_uncond", ...(looks ? ["attention"] : [])]);
    return { vCond: out.v_cond.data, vUncond: out.v_uncond.data, attention: out.attention?.data };
  }

  /**
   * The picture of a latent: three planes of numbers around -1..1.
   *
   * @param {Latent} z
   */
  async decode(z) {
    return (await this.graphs.decode.run({ z: floats(z, this.dims) })).pixels.data;
  }
}

/**
 * @param {Rows} rows
 */
function prompt(rows) {
  const dims = [rows.length, rows[0].ids.length];
  const mask = Uint8Array.from(rows.flatMap((row) => row.mask));
  const positions = BigInt64Array.from(rows.flatMap((row) => row.positions.map(BigInt)));
  return { mask: new ort.Tensor("bool", mask, dims), positions: new ort.Tensor("int64", positions, dims) };
}
