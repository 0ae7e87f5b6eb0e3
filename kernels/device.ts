import type { Backend } from "./backend.ts";
import { createReferenceBackend } from "./reference/mod.ts";
import { createWasmBackend, createWasmThreads } from "./wasm/mod.ts";

/** The compute devices of this build. */
export type DeviceKind = "cpu" | "reference";

/** A compute device: makes backends, one a partition, that share its threads. */
export interface Device {
  /** What computes. */
  readonly kind: DeviceKind;
  /** Makes a backend that allocates at most `maxBytes`. */
  createBackend(maxBytes: number): Promise<Backend>;
  /** Ends its threads; close its backends first. */
  close(): void;
}

/** Opens a device; `threads` is how many compute, the caller's included. Throws `KernelError`. */
export async function openDevice(kind: DeviceKind, threads: number): Promise<Device> {
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
