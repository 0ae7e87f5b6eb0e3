import { FileWriter } from "./file.ts";
import { type Dtype, tensorBytes, type TensorInfo, type TensorSource } from "./tensors.ts";

const pieceBytes = 4 << 20;
const headerLimit = 64 << 20;

/** Passes one tensor from its source on, in pieces of whole blocks of numbers. */
export function copyTensor(
  source: TensorSource,
  tensor: TensorInfo,
  write: (piece: Uint8Array) => void,
): void {
  const size = tensorBytes(tensor);
  const piece = new Uint8Array(Math.min(size, pieceBytes));
  for (let offset = 0; offset < size; offset += piece.length) {
    const part = piece.subarray(0, Math.min(piece.length, size - offset));
    source.read(tensor, offset, part);
    write(part);
  }
}

/** Writes all tensors of a source as one safetensors file. */
export function writeSafetensors(path: string, source: TensorSource): void {
  using out = new FileWriter(path);
  const header = encodeHeader(source.tensors);
  const length = new Uint8Array(8);
  new DataView(length.buffer).setBigUint64(0, BigInt(header.length), true);
  out.write(length);
  out.write(header);
  for (const tensor of source.tensors) copyTensor(source, tensor, (piece) => out.write(piece));
}

function encodeHeader(tensors: readonly TensorInfo[]): Uint8Array {
  const entries: Record<string, unknown> = { __metadata__: { format: "pt" } };
  let offset = 0;
  for (const tensor of tensors) {
    const end = offset + tensorBytes(tensor);
    entries[tensor.name] = {
      dtype: tensor.dtype,
      shape: tensor.shape,
      data_offsets: [offset, end],
    };
    offset = end;
  }
  const json = JSON.stringify(entries);
  return new TextEncoder().encode(json.padEnd(Math.ceil(json.length / 8) * 8));
}

/** An open safetensors file. */
export interface SafetensorsFile extends Disposable {
  readonly tensors: readonly TensorInfo[];
  read(tensor: TensorInfo, offset: number, into: Uint8Array): void;
}

/** Opens a safetensors file of F32, F16 and BF16 tensors. Throws on a header that is not one. */
export function openSafetensors(path: string): SafetensorsFile {
  const file = Deno.openSync(path);
  const readAt = (position: number, into: Uint8Array) => {
    file.seekSync(position, Deno.SeekMode.Start);
    for (let done = 0; done < into.length;) {
      const n = file.readSync(into.subarray(done));
      if (n === null) throw new Error(`Cannot read past the end of file: ${path}`);
      done += n;
    }
  };
  const start = new Uint8Array(8);
  readAt(0, start);
  const length = Number(new DataView(start.buffer).getBigUint64(0, true));
  if (length > headerLimit) throw new Error(`Cannot read safetensors header: ${length} bytes`);
  const header = new Uint8Array(length);
  readAt(8, header);
  const entries = decodeHeader(new TextDecoder().decode(header));
  return {
    tensors: [...entries.keys()],
    read: (tensor, offset, into) => readAt(8 + length + entries.get(tensor)! + offset, into),
    [Symbol.dispose]: () => file.close(),
  };
}

interface HeaderEntry {
  readonly dtype: Dtype;
  readonly shape: number[];
  readonly data_offsets: [number, number];
}

function decodeHeader(json: string): Map<TensorInfo, number> {
  const entries = new Map<TensorInfo, number>();
  for (const [name, entry] of Object.entries<HeaderEntry>(JSON.parse(json))) {
    if (name === "__metadata__") continue;
    const tensor = { name, dtype: entry.dtype, shape: entry.shape };
    const [from, to] = entry.data_offsets;
    if (!["F32", "F16", "BF16"].includes(entry.dtype) || to - from !== tensorBytes(tensor)) {
      throw new Error(`Cannot read tensor ${name}: ${JSON.stringify(entry)}`);
    }
    entries.set(tensor, from);
  }
  return entries;
}
