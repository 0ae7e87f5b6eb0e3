/** Bytes from the device to the host. */
import type { Faults } from "./faults.ts";
import type { OpenGpu } from "./gpu.ts";
import type { Mapper } from "./mapper.ts";
import type { Memory } from "./memory.ts";

const MIN_BYTES = 4096;

/** The staging buffer of one backend, and its copy on the host. */
export class Readback {
  readonly #mapper: Mapper;
  readonly #faults: Faults;
  readonly #memory: Memory;
  #staging: GPUBuffer | undefined;
  #host = new Uint8Array(0);

  constructor({ mapper, faults }: Pick<OpenGpu, "mapper" | "faults">, memory: Memory) {
    this.#mapper = mapper;
    this.#faults = faults;
    this.#memory = memory;
  }

  /** A buffer of at least `bytes` to copy to, for {@link fetch}. */
  async reserve(bytes: number): Promise<GPUBuffer> {
    if (this.#staging && this.#staging.size >= bytes) return this.#staging;
    const size = 2 ** Math.ceil(Math.log2(Math.max(bytes, MIN_BYTES)));
    this.#memory.claim("the staging buffer", size - (this.#staging?.size ?? 0));
    this.#staging?.destroy();
    this.#staging = undefined;
    this.#host = new Uint8Array(size);
    try {
      return this.#staging = await this.#mapper.create(size);
    } catch (error) {
      return await this.#fail(error);
    }
  }

  /** Waits for the device and brings the first bytes of the staging buffer to the host. */
  async fetch(bytes: number): Promise<void> {
    try {
      await this.#mapper.read(this.#staging!, this.#host.subarray(0, bytes));
    } catch (error) {
      await this.#fail(error);
    }
  }

  /** Some of what the last fetch brought. */
  bytes(offset: number, length: number): Uint8Array {
    return this.#host.subarray(offset, offset + length);
  }

  /** A staging buffer that cannot be mapped: what is wrong with it, or the device is lost. */
  async #fail(error: unknown): Promise<never> {
    await this.#faults.check();
    throw this.#faults.lose(`a map failed, ${error}`);
  }

  close(): void {
    this.#staging?.destroy();
    this.#staging = undefined;
  }
}
