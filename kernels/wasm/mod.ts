/**
 * The backend for CPUs: WebAssembly SIMD kernels over one shared memory, run by a pool of threads.
 *
 * @module
 */
export { createWasmBackend, type WasmBackendOptions } from "./backend.ts";
export { createWasmThreads, type WasmThreads } from "./threads.ts";
export { type CpuFeatures, cpuFeatures } from "./binaries.ts";
export { v8Flags } from "./v8_flags.ts";
