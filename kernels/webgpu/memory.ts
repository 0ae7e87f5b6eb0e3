/** Device memory of one backend, within its budget. */
import type { MemoryUse } from "../backend.ts";
import { KernelError } from "../errors.ts";
import type { Faults } from "./faults.ts";

/** Buffers are whole vectors of four words. */
const GRAIN = 16;

/** How many bytes may be allocated, and how many are. */
export class Budget {
  readonly limit: number;
  readonly #within: Budget | undefined;
  #used = 0;

  /** Bytes of it count against the one that it lies within, too. */
  constructor(limit: number, within?: Budget) {
    this.limit = limit;
    this.#within = within;
  }

  get used(): number {
    return this.#used;
  }

  get left(): number {
    return Math.min(this.limit - this.#used, this.#within?.left ?? Infinity);
  }

  take(bytes: number): void {
    this.#used += bytes;
    this.#within?.take(bytes);
  }

  /** Gives all back. */
  release(): void {
    this.#within?.take(-this.#used);
    this.#used = 0;
  }
}

/** Allocates buffers and frees them all at once. WebGPU does not tell how much memory there is. */
export class Memory {
  readonly #device: GPUDevice;
  readonly #faults: Faults;
  readonly #budget: Budget;
  readonly #buffers: GPUBuffer[] = [];
  readonly #scratch = new Map<string, GPUBuffer>();

  constructor(device: GPUDevice, faults: Faults, budget: Budget) {
    this.#device = device;
    this.#faults = faults;
    this.#budget = budget;
  }

  get use(): MemoryUse {
    const { used, limit } = this.#budget;
    return { used, limit };
  }

  /** Counts bytes that are allocated elsewhere. Throws `OutOfMemory` with what is left. */
  claim(label: string, bytes: number): void {
    const { left } = this.#budget;
    if (bytes > left) {
      throw new KernelError(
        "OutOfMemory",
        `Cannot allocate ${label}: ${bytes} bytes asked, ${left} left`,
      );
    }
    this.#budget.take(bytes);
  }

  /** A zeroed buffer of at least `bytes`. */
  allocate(label: string, bytes: number): GPUBuffer {
    const size = Math.ceil(bytes / GRAIN) * GRAIN;
    const { maxBufferSize } = this.#device.limits;
    if (size > maxBufferSize) {
      throw new KernelError(
        "OutOfMemory",
        `Cannot allocate ${label}, a buffer has at most ${maxBufferSize} bytes: ${size}`,
      );
    }
    this.claim(label, size);
    const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
    const buffer = this.#faults.guard(
      `allocate ${label} of ${size} bytes`,
      () => this.#device.createBuffer({ label, size, usage }),
      "OutOfMemory",
    );
    this.#buffers.push(buffer);
    return buffer;
  }

  /** A buffer of at least `bytes` that dispatches of one name may overwrite. */
  scratch(name: string, bytes: number): GPUBuffer {
    const known = this.#scratch.get(name);
    if (known && known.size >= bytes) return known;
    const buffer = this.allocate(`scratch memory (${name})`, bytes);
    this.#scratch.set(name, buffer);
    return buffer;
  }

  close(): void {
    for (const buffer of this.#buffers) buffer.destroy();
    this.#buffers.length = 0;
    this.#budget.release();
  }
}
