import type { MemoryUse } from "../backend.ts";
import { KernelError } from "../errors.ts";
import { HEAP_BASE } from "./opcodes.ts";

const PAGE = 65536;
const GROWTH = 16 * 2 ** 20;
const ALIGNMENT = 64;
/** Pages that every memory reserves, so that no 32-bit address of a kernel leaves it, checked or not. */
const ADDRESS_SPACE = 65536;

/** Most bytes that one 32-bit WebAssembly memory can have. */
export const MAX_MEMORY_BYTES = 4 * 2 ** 30;

/** One shared memory that only ever grows; everything in it lives until the backend is closed. */
export class Heap {
  readonly memory: WebAssembly.Memory;
  readonly #limit: number;
  #top = HEAP_BASE;
  #views: Views;

  constructor(maxBytes: number) {
    this.#limit = Math.floor(Math.min(maxBytes, MAX_MEMORY_BYTES) / PAGE) * PAGE;
    if (!(this.#limit > HEAP_BASE)) {
      throw new KernelError("InvalidArgument", `Cannot create a memory of maxBytes: ${maxBytes}`);
    }
    this.memory = new WebAssembly.Memory({ initial: 1, maximum: ADDRESS_SPACE, shared: true });
    this.#views = viewsOf(this.memory.buffer);
  }

  get use(): MemoryUse {
    return { used: this.#top, limit: this.#limit };
  }

  /** Address of `bytes` zeroed bytes, aligned to a cache line. */
  allocate(bytes: number, label: string): number {
    const address = this.#top;
    const top = address + Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;
    if (!(top <= this.#limit)) throw this.#outOfMemory(bytes, label);
    this.#grow(top, bytes, label);
    this.#top = top;
    return address;
  }

  /** All of the memory as 32-bit words; index by address / 4. */
  words(): Uint32Array<ArrayBufferLike> {
    return this.#current().words;
  }

  /** The same as floats. */
  floats(): Float32Array<ArrayBufferLike> {
    return this.#current().floats;
  }

  /** The same as integers. */
  ints(): Int32Array<ArrayBufferLike> {
    return this.#current().ints;
  }

  bytes(address: number, length: number): Uint8Array {
    return new Uint8Array(this.memory.buffer, address, length);
  }

  /** Views of the memory, which a growth leaves behind. */
  #current(): Views {
    const { buffer } = this.memory;
    if (this.#views.words.byteLength !== buffer.byteLength) this.#views = viewsOf(buffer);
    return this.#views;
  }

  #grow(top: number, bytes: number, label: string): void {
    const size = this.memory.buffer.byteLength;
    if (top <= size) return;
    const wanted = Math.min(this.#limit, Math.max(top, size + GROWTH));
    try {
      this.memory.grow(Math.ceil((wanted - size) / PAGE));
    } catch {
      throw this.#outOfMemory(bytes, label);
    }
  }

  #outOfMemory(bytes: number, label: string): KernelError {
    const left = megabytes(this.#limit - this.#top);
    return new KernelError(
      "OutOfMemory",
      `Cannot allocate ${label}: ${megabytes(bytes)} MB asked, ${left} MB left of ${
        megabytes(this.#limit)
      } MB`,
    );
  }
}

interface Views {
  readonly words: Uint32Array<ArrayBufferLike>;
  readonly floats: Float32Array<ArrayBufferLike>;
  readonly ints: Int32Array<ArrayBufferLike>;
}

function viewsOf(buffer: ArrayBufferLike): Views {
  return {
    words: new Uint32Array(buffer),
    floats: new Float32Array(buffer),
    ints: new Int32Array(buffer),
  };
}

function megabytes(bytes: number): string {
  return (bytes / 2 ** 20).toFixed(1);
}
