import type { Backend } from "./backend.ts";
import { createReferenceBackend } from "./reference/mod.ts";
import { createWasmBackend, createWasmThreads } from "./wasm/mod.ts";
import { createWebGpuBackend, type GpuInfo, type GpuOptions, openGpu } from "./webgpu/mod.ts";

/** The compute devices of this build: WebAssembly threads, a GPU through WebGPU, or plain TypeScript. */
export type DeviceKind = "cpu" | "gpu" | "reference";

/** A compute device: makes backends, one a partition, that share its threads. */
export interface Device {
  /** What computes. */
  readonly kind: DeviceKind;
  /** What a GPU's adapter says of itself; absent for other kinds. */
  readonly gpu?: GpuInfo;
  /** Makes a backend that allocates at most `maxBytes`. */
  createBackend(maxBytes: number): Promise<Backend>;
  /** Ends its threads or gives the GPU back; close its backends first. */
  close(): void | Promise<void>;
}

/**
 * Opens a device; `threads` is how many compute on a `cpu`, the caller's included, and `options` choose the GPU
 * of a `gpu`. Throws `KernelError`: `Unsupported` where there is no such device.
 */
export async function openDevice(
  kind: DeviceKind,
  threads: number,
  options?: GpuOptions,
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

async function openGpuDevice(options?: GpuOptions): Promise<Device> {
  const gpu = await openGpu(options);
  return {
    kind: "gpu",
    gpu: gpu.info,
    createBackend: (maxBytes) => Promise.resolve(createWebGpuBackend({ gpu, maxBytes })),
    close: () => gpu.close(),
  };
}
