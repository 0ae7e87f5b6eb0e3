import type { Backend } from "./backend.ts";
import { createReferenceBackend } from "./reference/mod.ts";
import { createWasmBackend, createWasmThreads } from "./wasm/mod.ts";
import {
  createWebGpuBackend,
  type GpuInfo,
  type GpuOptions,
  openGpu,
  tuneGpu,
  type TuneOptions,
} from "./webgpu/mod.ts";

/** The compute devices of this build: WebAssembly threads, a GPU through WebGPU, or plain TypeScript. */
export type DeviceKind = "cpu" | "gpu" | "reference";

/** A compute device: makes backends, one a partition, that share its threads. */
export interface Device {
  /** What computes. */
  readonly kind: DeviceKind;
  /** What a GPU's adapter says of itself; absent for other kinds. */
  readonly gpu?: GpuInfo;
  /**
   * Resolves, with the reason, when a GPU is lost; absent for other kinds. All that its backends are asked then fails
   * with `DeviceLost`, and so do new ones: who wants to go on opens a device anew.
   */
  readonly loss?: Promise<string>;
  /** Makes a backend that allocates at most `maxBytes`. */
  createBackend(maxBytes: number): Promise<Backend>;
  /** Ends its threads or gives the GPU back; close its backends first. */
  close(): void | Promise<void>;
}

/** How a GPU is opened. */
export interface DeviceOptions extends GpuOptions {
  /**
   * Finds the constants of kernels that suit it, in a cache or by measuring, which takes half a minute; by default
   * those that are built in are used.
   */
  readonly tune?: TuneOptions;
}

/**
 * Opens a device; `threads` is how many compute on a `cpu`, the caller's included, and `options` choose the GPU
 * of a `gpu`. Throws `KernelError`: `Unsupported` where there is no such device.
 */
export async function openDevice(
  kind: DeviceKind,
  threads: number,
  options: DeviceOptions = {},
): Promise<Device> {
  if (kind === "gpu") return await openGpuDevice(options);
  if (kind === "reference") {
    return {
      kind,
      createBackend: (maxBytes) => Promise.resolve(createReferenceBackend({ maxBytes })),
      close: () => {},
    };
  }
  const pool = await createWasmThreads(threads);
  return {
    kind,
    createBackend: (maxBytes) => createWasmBackend({ threads: pool, maxBytes }),
    close: () => pool.close(),
  };
}

async function openGpuDevice({ tune, ...options }: DeviceOptions): Promise<Device> {
  const gpu = await openGpu(options);
  const tuning = tune && await tuneGpu(gpu, tune);
  return {
    kind: "gpu",
    gpu: gpu.info,
    loss: gpu.loss,
    // deno-lint-ignore require-await -- a GPU that was lost is a rejection.
    createBackend: async (maxBytes) =>
      createWebGpuBackend({ gpu, maxBytes, ...(tuning && { tuning }) }),
    close: () => gpu.close(),
  };
}
