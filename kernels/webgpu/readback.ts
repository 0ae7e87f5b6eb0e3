/** Bytes from the device to the host. */
import { KernelError } from "../errors.ts";
import type { Mapper } from "./mapper.ts";
import type { Memory } from "./memory.ts";

const MIN_BYTES = 4096;

/** The staging buffer of one backend, and its copy on the host. */
export class Readback {
  readonly #mapper: Mapper;
  readonly #memory: Memory;
  #staging: GPUBuffer | undefined;
  #host = new Uint8Array(0);

  constructor(mapper: Mapper, memory: Memory) {
    this.#mapper = mapper;
    this.#memory = memory;
  }

  /** A buffer of at least `bytes` to copy to, for {@link fetch}. */
  async reserve(bytes: number): Promise<GPUBuffer> {
    if (this.#staging && this.#staging.size >= bytes) return this.#staging;
    const size = 2 ** Math.ceil(Math.log2(Math.max(bytes, MIN_BYTES)));
    this.#memory.claim("the staging buffer", size - (this.#staging?.size ?? 0));
    this.#staging?.destroy();
    this.#host = new Uint8Array(size);
    return this.#staging = await this.#mapper.create(size);
  }

  /** Waits for the device and brings the first bytes of the staging buffer to the host. */
  async fetch(bytes: number): Promise<void> {
    try {
      await this.#mapper.read(this.#staging!, this.#host.subarray(0, bytes));
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
