/**
 * The backend for GPUs: WGSL kernels through WebGPU.
 *
 * @module
 */
export { createWebGpuBackend, type WebGpuBackend, type WebGpuBackendOptions } from "./backend.ts";
export { type GpuSpeed, measureGpu } from "./measure.ts";
export { findGpu, type Gpu, type GpuInfo, type GpuOptions, openGpu } from "./gpu.ts";
export type { Mapping } from "./mapper.ts";
export type { DispatchProfile } from "./profile.ts";
export type { Cost } from "./dispatch.ts";
export type { GpuProvider } from "./provider.ts";
export { tuneGpu, type TuneOptions, type TuningCache, type TuningTrial } from "./tune.ts";
export type { Tuning } from "./tuning_steps.ts";
export type { WebGpuCounters } from "./runner.ts";
