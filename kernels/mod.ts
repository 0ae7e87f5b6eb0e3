/**
 * Numbers: compute backends, models, checkpoint formats and text. Knows no actor.
 * @module
 */
export * from "./backend.ts";
export { KernelError, type KernelErrorCode } from "./errors.ts";
export * from "./models/mod.ts";
export * from "./formats/mod.ts";
export * from "./text/mod.ts";
export * from "./device.ts";
export { createReferenceBackend } from "./reference/mod.ts";
export * from "./webgpu/mod.ts";
export {
  type CpuFeatures,
  cpuFeatures,
  createWasmBackend,
  createWasmThreads,
  v8Flags,
  type WasmBackendOptions,
  type WasmThreads,
} from "./wasm/mod.ts";
