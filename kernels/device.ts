import type { Backend } from "./backend.ts";
import { createReferenceBackend } from "./reference/mod.ts";
import { createWasmBackend, createWasmThreads } from "./wasm/mod.ts";
import {
  createWebGpuBackend,
  type Gpu,
  type GpuInfo,
  type GpuOptions,
  openGpu,
} from "./webgpu/mod.ts";

/** The compute devices of this build: WebAssembly threads, a GPU through WebGPU, or plain TypeScript. */
export type DeviceKind = "cpu" | "gpu" | "reference";

/** A compute device: makes backends, one a partition, that share its threads. */
export interface Device {
  /** What computes. */
  readonly kind: DeviceKind;
  /** What a GPU's adapter says of itself; absent for other kinds. */
  readonly gpu?: GpuInfo;
  /** Resolves, with the reason, when a GPU is lost for the first time; absent for other kinds. */
  readonly loss?: Promise<string>;
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
  if (kind === "gpu") return new GpuDevice(await openGpu(options), options);
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

/** A GPU that is opened again, for the backends that come after, when it was lost. */
class GpuDevice implements Device {
  readonly kind = "gpu";
  readonly loss: Promise<string>;
  readonly #options: GpuOptions | undefined;
  #open: Gpu;
  #reopening: Promise<void> | undefined;

  constructor(gpu: Gpu, options?: GpuOptions) {
    this.#open = gpu;
    this.loss = gpu.loss;
    this.#options = options;
  }

  get gpu(): GpuInfo {
    return this.#open.info;
  }

  async createBackend(maxBytes: number): Promise<Backend> {
    if (this.#open.lost) await (this.#reopening ??= this.#reopen());
    return createWebGpuBackend({ gpu: this.#open, maxBytes });
  }

  close(): Promise<void> {
    return this.#open.close();
  }

  async #reopen(): Promise<void> {
    try {
      this.#open = await openGpu(this.#options);
    } finally {
      this.#reopening = undefined;
    }
  }
}
