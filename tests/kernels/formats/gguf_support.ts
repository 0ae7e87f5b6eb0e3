import assert from "node:assert/strict";
import { ggmlType, type GgufHeader, parseGgufHeader } from "../../../kernels/formats/mod.ts";

/** A metadata value to write: its type by number, and the value. */
export type TypedValue = readonly [type: number, value: unknown];

/** A tensor to write; `dims` innermost first, `data` as stored. */
export interface GgufTensorToWrite {
  readonly name: string;
  readonly dims: readonly number[];
  readonly type: number;
  readonly data: Uint8Array;
  /** Claimed instead of the true place. */
  readonly offset?: number;
}

/** What a GGUF file claims. */
export interface GgufContents {
  readonly version?: number;
  readonly metadata: Readonly<Record<string, TypedValue>>;
  readonly tensors?: readonly GgufTensorToWrite[];
  readonly alignment?: number;
}

const scalars: Record<number, [number, (view: DataView, value: never) => void]> = {
  0: [1, (view, value) => view.setUint8(0, value)],
  1: [1, (view, value) => view.setInt8(0, value)],
  2: [2, (view, value) => view.setUint16(0, value, true)],
  3: [2, (view, value) => view.setInt16(0, value, true)],
  4: [4, (view, value) => view.setUint32(0, value, true)],
  5: [4, (view, value) => view.setInt32(0, value, true)],
  6: [4, (view, value) => view.setFloat32(0, value, true)],
  7: [1, (view, value) => view.setUint8(0, Number(value))],
  10: [8, (view, value) => view.setBigUint64(0, BigInt(value), true)],
  11: [8, (view, value) => view.setBigInt64(0, BigInt(value), true)],
  12: [8, (view, value) => view.setFloat64(0, value, true)],
};

/** Encodes a GGUF file; claims are written as they are, right or wrong. */
export function encodeGguf(contents: GgufContents): Uint8Array<ArrayBuffer> {
  const { metadata, tensors = [], alignment = 32 } = contents;
  const chunks: Uint8Array[] = [];
  const scalar = (type: number, value: unknown) => {
    const [bytes, set] = scalars[type]!;
    const chunk = new Uint8Array(bytes);
    set(new DataView(chunk.buffer), value as never);
    chunks.push(chunk);
  };
  const string = (text: unknown) => {
    const bytes = text instanceof Uint8Array ? text : new TextEncoder().encode(String(text));
    scalar(10, bytes.length);
    chunks.push(bytes);
  };
  const typed = (type: number, value: unknown) => {
    if (type === 8) string(value);
    else if (type === 9) {
      const [elementType, elements] = value as [number, unknown[]];
      scalar(4, elementType);
      scalar(10, elements.length);
      for (const element of elements) typed(elementType, element);
    } else scalar(type, value);
  };
  chunks.push(new TextEncoder().encode("GGUF"));
  scalar(4, contents.version ?? 3);
  scalar(10, tensors.length);
  scalar(10, Object.keys(metadata).length);
  for (const [key, [type, value]] of Object.entries(metadata)) {
    string(key);
    scalar(4, type);
    typed(type, value);
  }
  let offset = 0;
  for (const tensor of tensors) {
    string(tensor.name);
    scalar(4, tensor.dims.length);
    for (const size of tensor.dims) scalar(10, size);
    scalar(4, tensor.type);
    scalar(10, tensor.offset ?? offset);
    offset = align(offset + tensor.data.length, alignment);
  }
  const header = concat(chunks);
  return concat([
    padded(header, alignment),
    ...tensors.map(({ data }) => padded(data, alignment)),
  ]);
}

/** The header of a GGUF file in memory. */
export function parseBytes(bytes: Uint8Array): GgufHeader {
  const read = (position: number, into: Uint8Array) => {
    assert(into.length <= bytes.length, "nothing larger than the file is set aside");
    into.set(bytes.subarray(position, position + into.length));
  };
  return parseGgufHeader({ name: "test.gguf", size: bytes.length, read });
}

/** Metadata written to a file and read back: numbers as u32, in lists as f32. */
export function throughFile(metadata: ReadonlyMap<string, unknown>): GgufHeader["metadata"] {
  const typed = [...metadata].map(([key, value]): [string, TypedValue] => {
    if (typeof value === "boolean") return [key, bool(value)];
    if (typeof value === "number") return [key, u32(value)];
    if (!Array.isArray(value)) return [key, text(String(value))];
    return [key, list(typeof value[0] === "number" ? 6 : 8, value)];
  });
  return parseBytes(encodeGguf({ metadata: Object.fromEntries(typed) })).metadata;
}

/** Shorthands of typed values. */
export const u32 = (value: number): TypedValue => [4, value];
export const f32 = (value: number): TypedValue => [6, value];
export const bool = (value: boolean): TypedValue => [7, value];
export const text = (value: string | Uint8Array): TypedValue => [8, value];
export const list = (type: number, values: readonly unknown[]): TypedValue => [9, [type, values]];

function align(offset: number, alignment: number): number {
  return Math.ceil(offset / alignment) * alignment;
}

function padded(bytes: Uint8Array, alignment: number): Uint8Array {
  const result = new Uint8Array(align(bytes.length, alignment));
  result.set(bytes);
  return result;
}

function concat(chunks: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const result = new Uint8Array(chunks.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const chunk of chunks) {
    result.set(chunk, at);
    at += chunk.length;
  }
  return result;
}

const matrix = {
  name: "token_embd.weight",
  dims: [64, 4],
  type: 8,
  data: new Uint8Array(64 * 4 / 32 * 34).fill(7),
};
const vector = { name: "norm", dims: [8], type: 0, data: new Uint8Array(32) };
/** A small valid file: values of many types, a quantised tensor and a plain one. */
export const validGguf = {
  metadata: {
    "general.architecture": text("llama"),
    "a.flag": bool(true),
    "a.float": f32(0.5),
    "a.long": [10, 2n ** 60n] as const,
    "a.short": [3, -5] as const,
    "a.words": list(8, ["x", "ŷ", ""]),
    "a.nested": list(9, [[4, [1, 2]], [4, []]]),
  },
  tensors: [matrix, vector] as const,
} satisfies GgufContents;

/** Numbers of ggml types in files. */
export const ggml = { f32: 0, f16: 1, q4_0: 2, q8_0: 8, q4_k: 12, q5_k: 13, q6_k: 14 } as const;

/** A tensor of this shape, outermost first, with bytes that differ from place to place. */
export function patterned(
  name: string,
  shape: readonly number[],
  type: number = ggml.f32,
): GgufTensorToWrite {
  const { elements, bytes } = ggmlType(type)!;
  const length = shape.reduce((product, size) => product * size, 1) / elements * bytes;
  const seed = [...name].reduce((sum, character) => sum * 31 + character.charCodeAt(0) | 0, 7);
  const data = Uint8Array.from({ length }, (_, i) => Math.imul(i + seed, 0x9e3779b1) >>> 24);
  return { name, dims: shape.toReversed(), type, data };
}

/** Metadata of a small model of an architecture: 2 layers of width 32, 4 heads and 2 key-value heads of 8. */
export function smallMetadata(
  architecture: string,
  more: Readonly<Record<string, TypedValue>> = {},
): Record<string, TypedValue> {
  const sizes = {
    "context_length": u32(128),
    "embedding_length": u32(32),
    "block_count": u32(2),
    "feed_forward_length": u32(64),
    "attention.head_count": u32(4),
    "attention.head_count_kv": u32(2),
    "attention.layer_norm_rms_epsilon": f32(1e-5),
    ...more,
  };
  return {
    "general.architecture": text(architecture),
    ...Object.fromEntries(
      Object.entries(sizes).map((
        [key, value],
      ) => [key.includes("tokenizer.") ? key : `${architecture}.${key}`, value]),
    ),
  };
}
