// Of onnxruntime-web's interface, what the lab uses.
export class Tensor {
  constructor(type: "float32" | "int64" | "bool", data: Float32Array | BigInt64Array | Uint8Array, dims: readonly number[]);
  readonly data: Float32Array;
  readonly dims: readonly number[];
}
export class InferenceSession {
  static create(graph: Uint8Array, options: object): Promise<InferenceSession>;
  run(inputs: Record<string, Tensor>, outputs?: string[]): Promise<Record<string, Tensor>>;
}
export const env: { wasm: { numThreads: number; wasmPaths: string; wasmBinary: ArrayBuffer }; logLevel: string };
