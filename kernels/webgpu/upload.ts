/** Bytes from the host to the device. */
import type { Faults } from "./faults.ts";
import type { DeviceTensor, Piece } from "./tensor.ts";

const WINDOW_BYTES = 16 * 2 ** 20;
/** A queue keeps what was written until the next submit. */
const PENDING_BYTES = 64 * 2 ** 20;
const WORD = 4;

/**
 * Loads weights window by window. Writes to a buffer are whole words; the bytes of a word that a range shares
 * with its neighbours are kept until the tensor is sealed.
 */
export class Upload {
  readonly #queue: GPUQueue;
  readonly #faults: Faults;
  readonly #words = new Map<GPUBuffer, Map<number, Uint8Array>>();
  #window = new Uint8Array(0);
  #pending = 0;

  constructor(queue: GPUQueue, faults: Faults) {
    this.#queue = queue;
    this.#faults = faults;
  }

  /** Fills a byte range; `read` gets windows in order, with their offset in the range. */
  load(
    tensor: DeviceTensor,
    byteOffset: number,
    byteLength: number,
    read: (into: Uint8Array, offset: number) => void,
  ): void {
    for (const piece of tensor.pieces(byteOffset, byteLength)) {
      for (let done = 0; done < piece.length;) {
        const at = piece.at + done;
        const length = Math.min(piece.length - done, WINDOW_BYTES - at % WORD);
        const offset = piece.offset + done;
        this.#write({ buffer: piece.buffer, at, offset, length }, read);
        done += length;
      }
    }
  }

  /** Forgets the shared words of a tensor that is complete. */
  seal({ shards }: DeviceTensor): void {
    for (const { buffer } of shards) this.#words.delete(buffer);
  }

  /** Writes whole words. */
  write(buffer: GPUBuffer, at: number, values: Float32Array | Int32Array): void {
    this.#send(buffer, at, new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
  }

  #write(
    { buffer, at, offset, length }: Piece,
    read: (into: Uint8Array, offset: number) => void,
  ): void {
    const lead = at % WORD;
    const bytes = this.#take(Math.ceil((lead + length) / WORD) * WORD);
    const ends = new Set([at - lead, at - lead + bytes.length - WORD]);
    const words = this.#words.get(buffer) ?? new Map<number, Uint8Array>();
    this.#words.set(buffer, words);
    const place = (word: number) => bytes.subarray(word - at + lead, word - at + lead + WORD);
    for (const word of ends) place(word).set(words.get(word) ?? new Uint8Array(WORD));
    read(bytes.subarray(lead, lead + length), offset);
    for (const word of ends) words.set(word, place(word).slice());
    this.#faults.guard(
      `load ${length} bytes of ${buffer.label}`,
      () => this.#send(buffer, at - lead, bytes),
      "OutOfMemory",
    );
  }

  #take(bytes: number): Uint8Array<ArrayBuffer> {
    if (this.#window.length < bytes) this.#window = new Uint8Array(bytes);
    return this.#window.subarray(0, bytes);
  }

  #send(buffer: GPUBuffer, at: number, bytes: Uint8Array): void {
    this.#queue.writeBuffer(buffer, at, bytes as Uint8Array<ArrayBuffer>);
    this.#pending += bytes.length;
    if (this.#pending < PENDING_BYTES) return;
    this.#queue.submit([]);
    this.#pending = 0;
  }
}
