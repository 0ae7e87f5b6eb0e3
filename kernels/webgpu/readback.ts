/** Bytes from the device to the host. */
import { KernelError } from "../errors.ts";
import type { Memory } from "./memory.ts";

/**
 * How a staging buffer is mapped. Deno maps inside the call of `mapAsync()` and then sleeps 10 ms before its
 * promise resolves; `unawaited` reads at once and lets the promise resolve later. It holds for a buffer that was
 * mapped with an await before: the first map of a buffer without one ends the process.
 */
export type Mapping = "unawaited" | "awaited";

/** Copies the first bytes of a staging buffer, mapped before at least once, into `into`. */
async function map(buffer: GPUBuffer, mapping: Mapping, into: Uint8Array): Promise<void> {
  const bytes = Math.ceil(into.length / 8) * 8;
  const mapped = buffer.mapAsync(GPUMapMode.READ, 0, bytes);
  if (mapping === "awaited") await mapped;
  else mapped.catch(() => {});
  into.set(new Uint8Array(buffer.getMappedRange(0, bytes)).subarray(0, into.length));
  buffer.unmap();
}

/** Makes a staging buffer and maps it once. */
async function stagingBuffer(device: GPUDevice, size: number): Promise<GPUBuffer> {
  const usage = GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST;
  const buffer = device.createBuffer({ label: "staging", size, usage });
  await buffer.mapAsync(GPUMapMode.READ);
  buffer.unmap();
  return buffer;
}

/** Tries which mapping works on a device. */
export async function probeMapping(device: GPUDevice): Promise<Mapping> {
  const staging = await stagingBuffer(device, 16);
  const usage = GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
  const source = device.createBuffer({ label: "mapping probe", size: 16, usage });
  try {
    for (let round = 1; round <= 3; round++) {
      device.queue.writeBuffer(source, 0, Uint32Array.of(round, 2, 3, ~round));
      const encoder = device.createCommandEncoder();
      encoder.copyBufferToBuffer(source, 0, staging, 0, 16);
      device.queue.submit([encoder.finish()]);
      const words = new Uint32Array(4);
      await map(staging, "unawaited", new Uint8Array(words.buffer));
      if (words[0] !== round || words[3] !== (~round >>> 0)) return "awaited";
    }
    return "unawaited";
  } catch {
    // By the standard a buffer is not mapped yet when mapAsync() returns.
    return "awaited";
  } finally {
    staging.destroy();
    source.destroy();
  }
}

/** The staging buffer of one backend. */
export class Readback {
  readonly #device: GPUDevice;
  readonly #mapping: Mapping;
  readonly #memory: Memory;
  #staging: GPUBuffer | undefined;
  #host = new Uint8Array(0);

  constructor(device: GPUDevice, mapping: Mapping, memory: Memory) {
    this.#device = device;
    this.#mapping = mapping;
    this.#memory = memory;
  }

  /** A buffer of at least `bytes` to copy to, for {@link fetch}. */
  async reserve(bytes: number): Promise<GPUBuffer> {
    if (this.#staging && this.#staging.size >= bytes) return this.#staging;
    const size = 2 ** Math.ceil(Math.log2(Math.max(bytes, 4096)));
    this.#memory.claim("the staging buffer", size - (this.#staging?.size ?? 0));
    this.#staging?.destroy();
    this.#host = new Uint8Array(size);
    return this.#staging = await stagingBuffer(this.#device, size);
  }

  /** Waits for the device and brings the first bytes of the staging buffer to the host. */
  async fetch(bytes: number): Promise<void> {
    try {
      await map(this.#staging!, this.#mapping, this.#host.subarray(0, bytes));
    } catch (error) {
      throw new KernelError("DeviceLost", `Cannot read back from the GPU: ${error}`);
    }
  }

  /** Some of what the last fetch brought. */
  bytes(offset: number, length: number): Uint8Array {
    return this.#host.subarray(offset, offset + length);
  }

  close(): void {
    this.#staging?.destroy();
    this.#staging = undefined;
  }
}
