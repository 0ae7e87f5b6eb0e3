import { FormatError } from "../errors.ts";
import { quote } from "../../quote.ts";

/** The longest header accepted, in bytes; vocabularies of 260,000 tokens need about 15 million. */
export const MAX_GGUF_HEADER_BYTES = 128 << 20;
const WINDOW_BYTES = 1 << 20;

/** Bytes by position. */
export interface ByteSource {
  /** For messages. */
  readonly name: string;
  /** Bytes in all. */
  readonly size: number;
  /** Fills `into` from `position` on; is asked only for bytes below `size`. */
  read(position: number, into: Uint8Array): void;
}

/** Reads little-endian values front to back, through a window of a megabyte. */
export class ByteReader {
  readonly #source: ByteSource;
  readonly #decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  #window = new Uint8Array();
  #view = new DataView(this.#window.buffer);
  #windowStart = 0;
  #position = 0;

  constructor(source: ByteSource) {
    this.#source = source;
  }

  /** Bytes read so far. */
  get position(): number {
    return this.#position;
  }

  /** Bytes of the source that are not read yet. */
  get left(): number {
    return this.#source.size - this.#position;
  }

  /** Reads one value of `bytes` bytes at the offset that `decode` is called with. */
  value<T>(bytes: number, decode: (view: DataView, offset: number) => T): T {
    const offset = this.#advance(bytes);
    return decode(this.#view, offset);
  }

  /** An unsigned 32-bit integer. */
  u32(): number {
    const offset = this.#advance(4);
    return this.#view.getUint32(offset, true);
  }

  /** An unsigned 64-bit integer of at most `max`, which `what` names when it is larger. */
  size(what: string, max: number): number {
    const offset = this.#advance(8);
    const value = this.#view.getBigUint64(offset, true);
    if (value > BigInt(max)) throw this.invalid(`${what} is ${value}, at most ${max}`);
    return Number(value);
  }

  /** A string of at most `max` bytes. */
  string(what: string, max: number): string {
    const length = this.size(`length of ${what}`, max);
    const offset = this.#advance(length);
    try {
      return this.#decoder.decode(this.#window.subarray(offset, offset + length));
    } catch {
      throw this.invalid(`${what} at byte ${this.#position - length} is not UTF-8`);
    }
  }

  /** A fault of the header. */
  invalid(fault: string): FormatError {
    return new FormatError(
      "InvalidHeader",
      `Cannot read GGUF header of ${this.#source.name}: ${fault}`,
    );
  }

  /** Where the next `count` bytes lie in the window. */
  #advance(count: number): number {
    const end = this.#position + count;
    if (end > this.#windowStart + this.#window.length) this.#slide(count);
    const offset = this.#position - this.#windowStart;
    this.#position = end;
    return offset;
  }

  #slide(count: number): void {
    const { name, size } = this.#source;
    const end = this.#position + count;
    if (end > size) {
      const missing = `header ends at byte ${size}, wanted ${end}`;
      throw new FormatError("Truncated", `Cannot read half-copied file ${name}: ${missing}`);
    }
    if (end > MAX_GGUF_HEADER_BYTES) {
      throw this.invalid(`it is longer than ${quote(MAX_GGUF_HEADER_BYTES)} bytes`);
    }
    const bytes = Math.min(Math.max(count, WINDOW_BYTES), size - this.#position);
    this.#window = new Uint8Array(bytes);
    this.#view = new DataView(this.#window.buffer);
    this.#windowStart = this.#position;
    this.#source.read(this.#position, this.#window);
  }
}
