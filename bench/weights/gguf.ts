import { FileWriter } from "./file.ts";
import { metadataOf, type MetadataValue } from "./gguf_metadata.ts";
import { ggufBytes, type GgufTensor, ggufTensors, quantised } from "./gguf_tensors.ts";
import { toFloat32 } from "./numbers.ts";
import { Quantiser } from "./quantise.ts";
import { copyTensor } from "./safetensors.ts";
import { tensorBytes, type TensorInfo, type TensorSource } from "./tensors.ts";

const magic = 0x46554747;
const version = 3;
const alignment = 32;
const tensorType = { F32: 0, F16: 1, Q8_0: 8, BF16: 30 };
const valueType = { uint32: 4, int32: 5, float32: 6, bool: 7, string: 8, array: 9 };

/**
 * Writes a model as one GGUF v3 file of the `llama` architecture, with or without experts. Matrices
 * keep their dtype; norms and the experts' router become F32; rows of the query and key projections
 * are reordered from half-split to interleaved rotary pairs, as that architecture has them. With
 * `matrices` `Q8_0`, F16 matrices are quantised; throws when a row of one is not whole blocks.
 */
export function writeGguf(
  path: string,
  source: TensorSource,
  name: string,
  matrices: "as stored" | "Q8_0" = "as stored",
): void {
  using out = new FileWriter(path);
  const stored = ggufTensors(source.config, source.tensors);
  const tensors = matrices === "Q8_0" ? quantised(stored) : stored;
  const quantiser = new Quantiser();
  out.write(encodeHeader(metadataOf(source.config, name, matrices), tensors));
  for (const tensor of tensors) {
    out.align(alignment);
    writeTensor(source, tensor, encoderOf(tensor, quantiser, out));
  }
  out.align(alignment);
}

type Write = (bytes: Uint8Array) => void;

function encoderOf({ dtype }: GgufTensor, quantiser: Quantiser, out: FileWriter): Write {
  return dtype === "Q8_0"
    ? (bytes) => out.write(quantiser.quantise(bytes))
    : (bytes) => out.write(bytes);
}

function writeTensor(source: TensorSource, tensor: GgufTensor, write: Write): void {
  for (const part of tensor.parts) {
    if (tensor.dtype === "F32" && part.dtype !== "F32") {
      write(new Uint8Array(toFloat32(readWhole(source, part), part.dtype).buffer));
    } else if (tensor.interleaveHeads !== undefined) {
      write(interleaveRows(readWhole(source, part), part.shape[0]!, tensor.interleaveHeads));
    } else {
      copyTensor(source, part, write);
    }
  }
}

function readWhole(source: TensorSource, tensor: TensorInfo): Uint8Array {
  const bytes = new Uint8Array(tensorBytes(tensor));
  source.read(tensor, 0, bytes);
  return bytes;
}

/** Within each head, row `half * width + i` of two halves moves to row `2 * i + half`. */
function interleaveRows(bytes: Uint8Array, rows: number, heads: number): Uint8Array {
  const rowBytes = bytes.length / rows;
  const width = rows / heads / 2;
  const result = new Uint8Array(bytes.length);
  for (let row = 0; row < rows; row++) {
    const head = Math.floor(row / (2 * width));
    const half = Math.floor(row / width) % 2;
    const to = head * 2 * width + 2 * (row % width) + half;
    result.set(bytes.subarray(row * rowBytes, (row + 1) * rowBytes), to * rowBytes);
  }
  return result;
}

function encodeHeader(
  metadata: readonly [string, MetadataValue][],
  tensors: readonly GgufTensor[],
): Uint8Array {
  const bytes = new ByteWriter();
  bytes.u32(magic).u32(version).u64(tensors.length).u64(metadata.length);
  for (const [key, value] of metadata) writeValue(bytes.string(key), value);
  let offset = 0;
  for (const tensor of tensors) {
    bytes.string(tensor.name).u32(tensor.dims.length);
    for (const n of tensor.dims) bytes.u64(n);
    bytes.u32(tensorType[tensor.dtype]).u64(offset);
    offset = Math.ceil((offset + ggufBytes(tensor)) / alignment) * alignment;
  }
  return bytes.finish();
}

function writeValue(bytes: ByteWriter, entry: MetadataValue): void {
  switch (entry.type) {
    case "uint32":
      return void bytes.u32(valueType.uint32).u32(entry.value);
    case "float32":
      return void bytes.u32(valueType.float32).f32(entry.value);
    case "bool":
      return void bytes.u32(valueType.bool).u8(entry.value ? 1 : 0);
    case "string":
      return void bytes.u32(valueType.string).string(entry.value);
    case "strings":
      bytes.u32(valueType.array).u32(valueType.string).u64(entry.value.length);
      return entry.value.forEach((item) => bytes.string(item));
    case "int32s":
      bytes.u32(valueType.array).u32(valueType.int32).u64(entry.value.length);
      return entry.value.forEach((item) => bytes.u32(item));
  }
}

class ByteWriter {
  #view = new DataView(new ArrayBuffer(1 << 16));
  #length = 0;

  u8(value: number): this {
    this.#grow(1).setUint8(this.#length++, value);
    return this;
  }

  u32(value: number): this {
    this.#grow(4).setUint32(this.#length, value, true);
    this.#length += 4;
    return this;
  }

  u64(value: number): this {
    this.#grow(8).setBigUint64(this.#length, BigInt(value), true);
    this.#length += 8;
    return this;
  }

  f32(value: number): this {
    this.#grow(4).setFloat32(this.#length, value, true);
    this.#length += 4;
    return this;
  }

  string(value: string): this {
    const bytes = new TextEncoder().encode(value);
    this.u64(bytes.length).#grow(bytes.length);
    new Uint8Array(this.#view.buffer).set(bytes, this.#length);
    this.#length += bytes.length;
    return this;
  }

  finish(): Uint8Array {
    return new Uint8Array(this.#view.buffer, 0, this.#length);
  }

  #grow(bytes: number): DataView {
    const needed = this.#length + bytes;
    if (needed > this.#view.byteLength) {
      this.#view = new DataView(this.#view.buffer.transfer(Math.max(needed, 2 * this.#length)));
    }
    return this.#view;
  }
}
