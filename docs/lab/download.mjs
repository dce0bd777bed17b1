/**
 * Files, with word of how much of them is there.
 *
 * @module
 */

/** What the lab loads, relative to this folder: the runtime, the weights, the graphs, the noise. */
export const FILES = {
  runtime: "../vendor/onnxruntime/ort-wasm-simd-threaded.wasm",
  model: "graphs/model.safetensors",
  vae: "graphs/diffusion_pytorch_model.safetensors",
  prefill: "graphs/prefill.onnx",
  step: "graphs/step.onnx",
  decode: "graphs/decode.onnx",
  noise: "graphs/noise.bin",
};

/**
 * Load all files at once.
 *
 * @param {(loaded: number) => void} progress Is told how many bytes are there, of all files together.
 * @returns {Promise<Record<keyof typeof FILES, Uint8Array>>}
 */
export async function downloadAll(progress) {
  let loaded = 0;
  const each = Object.entries(FILES).map(async ([name, path]) => {
    const file = await download(new URL(path, import.meta.url), (bytes) => {
      loaded += bytes;
      progress(loaded);
    });
    return [name, file];
  });
  return Object.fromEntries(await Promise.all(each));
}

/**
 * @param {URL} url
 * @param {(bytes: number) => void} arrived
 */
async function download(url, arrived) {
  const response = await fetch(url);
  if (!response.ok || !response.body)
    throw new Error(`${url.pathname}: expected a file, got status ${response.status}`);
  const parts = [];
  const reader = response.body.getReader();
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    parts.push(part.value);
    arrived(part.value.length);
  }
  return new Uint8Array(await new Blob(parts).arrayBuffer());
}
