/** How staging buffers are mapped. */

import type { Faults } from "./faults.ts";

/**
 * Deno maps inside the call of `mapAsync()` and then sleeps 10 ms before its promise resolves; `unawaited` reads at
 * once and lets the promise resolve later. That holds for a buffer that was mapped with an await before: the first
 * map of a buffer without one ends the process.
 */
export type Mapping = "unawaited" | "awaited";

/** Makes and maps the staging buffers of one device. */
export class Mapper {
  readonly #device: GPUDevice;
  readonly #faults: Faults;
  readonly #pending = new Set<Promise<void>>();
  #mapping: Mapping;

  private constructor(device: GPUDevice, faults: Faults, mapping: Mapping) {
    this.#device = device;
    this.#faults = faults;
    this.#mapping = mapping;
  }

  /** Maps as asked; by default unawaited if that proves to work on the device. */
  static async create(device: GPUDevice, faults: Faults, mapping?: Mapping): Promise<Mapper> {
    const mapper = new Mapper(device, faults, mapping ?? "unawaited");
    if (mapping === undefined && !await mapper.#works()) mapper.#mapping = "awaited";
    return mapper;
  }

  /** How it maps. */
  get mapping(): Mapping {
    return this.#mapping;
  }

  /** A staging buffer, mapped once. */
  async create(size: number): Promise<GPUBuffer> {
    const usage = GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST;
    const buffer = this.#faults.guard(
      `allocate a staging buffer of ${size} bytes`,
      () => this.#device.createBuffer({ label: "staging", size, usage }),
      "OutOfMemory",
    );
    await buffer.mapAsync(GPUMapMode.READ);
    buffer.unmap();
    return buffer;
  }

  /** Waits for the device and copies the first bytes of a staging buffer into `into`. */
  async read(buffer: GPUBuffer, into: Uint8Array): Promise<void> {
    const bytes = Math.ceil(into.length / 8) * 8;
    const mapped = buffer.mapAsync(GPUMapMode.READ, 0, bytes);
    if (this.#mapping === "awaited") await mapped;
    else this.#track(mapped);
    into.set(new Uint8Array(buffer.getMappedRange(0, bytes)).subarray(0, into.length));
    buffer.unmap();
  }

  /** Resolves when no map is under way. */
  async settled(): Promise<void> {
    await Promise.all(this.#pending);
  }

  #track(mapped: Promise<void>): void {
    // Why a map failed is told by the read that failed with it.
    const done = mapped.catch(() => {}).finally(() => this.#pending.delete(done));
    this.#pending.add(done);
  }

  async #works(): Promise<boolean> {
    const staging = await this.create(16);
    const usage = GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
    const source = this.#device.createBuffer({ label: "mapping probe", size: 16, usage });
    try {
      for (let round = 1; round <= 3; round++) {
        if (!await this.#echoes(source, staging, round)) return false;
      }
      return true;
    } catch {
      // By the standard a buffer is not mapped yet when mapAsync() returns.
      return false;
    } finally {
      await this.settled();
      staging.destroy();
      source.destroy();
    }
  }

  async #echoes(source: GPUBuffer, staging: GPUBuffer, value: number): Promise<boolean> {
    const { queue } = this.#device;
    queue.writeBuffer(source, 0, Uint32Array.of(value, 0, 0, ~value));
    const encoder = this.#device.createCommandEncoder();
    encoder.copyBufferToBuffer(source, 0, staging, 0, 16);
    queue.submit([encoder.finish()]);
    const words = new Uint32Array(4);
    await this.read(staging, new Uint8Array(words.buffer));
    return words[0] === value && words[3] === ~value >>> 0;
  }
}
