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
 * An XMLHttpRequest, because it tells its progress by itself; of a fetch one would have to read the stream.
 *
 * @param {URL} url
 * @param {(bytes: number) => void} arrived
 * @returns {Promise<Uint8Array>}
 */
const download = (url, arrived) =>
  new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    let before = 0;
    request.open("GET", url);
    request.responseType = "arraybuffer";
    request.addEventListener("progress", ({ loaded }) => {
      arrived(loaded - before);
      before = loaded;
    });
    request.addEventListener("loadend", () => {
      if (request.status === 200) resolve(new Uint8Array(request.response));
      else reject(new Error(`${url.pathname}: expected a file, got status ${request.status}`));
    });
    request.send();
  });
