/** A reader of GGUF v3 that shares nothing with the writer under test. */
export interface GgufTensorEntry {
  readonly dims: readonly number[];
  readonly type: number;
  /** The bytes from here to the end of the file. */
  readonly bytes: Uint8Array;
}

export interface GgufFile {
  readonly version: number;
  readonly metadata: ReadonlyMap<string, unknown>;
  readonly tensors: ReadonlyMap<string, GgufTensorEntry>;
  readonly dataStart: number;
}

/** Parses a whole file. Throws when it is not GGUF. */
export function readGguf(file: Uint8Array): GgufFile {
  const cursor = new Cursor(file);
  const magic = cursor.take(4, (bytes) => new TextDecoder().decode(bytes));
  if (magic !== "GGUF") throw new Error(`Cannot read GGUF: ${magic}`);
  const version = cursor.u32();
  const tensorCount = cursor.u64();
  const metadataCount = cursor.u64();
  const metadata = new Map<string, unknown>();
  for (let i = 0; i < metadataCount; i++) metadata.set(cursor.string(), cursor.value(cursor.u32()));
  const infos = Array.from({ length: tensorCount }, () => ({
    name: cursor.string(),
    dims: Array.from({ length: cursor.u32() }, () => cursor.u64()),
    type: cursor.u32(),
    offset: cursor.u64(),
  }));
  const dataStart = Math.ceil(cursor.position / 32) * 32;
  const tensors = infos.map(({ name, dims, type, offset }) =>
    [name, { dims, type, bytes: file.subarray(dataStart + offset) }] as const
  );
  return { version, metadata, tensors: new Map(tensors), dataStart };
}

class Cursor {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  position = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  take<Result>(length: number, decode: (bytes: Uint8Array) => Result): Result {
    this.position += length;
    return decode(this.#bytes.subarray(this.position - length, this.position));
  }

  u32(): number {
    this.position += 4;
    return this.#view.getUint32(this.position - 4, true);
  }

  u64(): number {
    this.position += 8;
    return Number(this.#view.getBigUint64(this.position - 8, true));
  }

  string(): string {
    return this.take(this.u64(), (bytes) => new TextDecoder().decode(bytes));
  }

  value(type: number): unknown {
    switch (type) {
      case 4:
      case 5:
        return this.u32();
      case 6:
        return this.take(4, (bytes) => new Float32Array(bytes.slice().buffer)[0]);
      case 7:
        return this.take(1, (bytes) => bytes[0] !== 0);
      case 8:
        return this.string();
      case 9: {
        const inner = this.u32();
        return Array.from({ length: this.u64() }, () => this.value(inner));
      }
      default:
        throw new Error(`Cannot read GGUF value of type: ${type}`);
    }
  }
}
