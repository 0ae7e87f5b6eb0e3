import { DTYPE_BITS, type SafetensorsDType } from "./weight_source.ts";

/** A tensor to write. */
export interface TensorToWrite {
  /** Name in the checkpoint. */
  readonly name: string;
  /** How its elements are stored. */
  readonly dtype: SafetensorsDType;
  /** Sizes of its dimensions. */
  readonly shape: readonly number[];
  /** Its bytes, little-endian, row-major; a function yields them in order, so that they need not exist whole. */
  readonly data: Uint8Array | (() => Iterable<Uint8Array>);
}

/** How {@link writeSafetensors} splits its output. */
export interface WriteOptions {
  /** Starts a new shard before a tensor that would take one over this many bytes; absent = one file. */
  readonly shardBytes?: number;
}

/**
 * Writes tensors to `path`, or with `shardBytes` to `NAME-00001-of-0000N.safetensors` beside it and an index
 * `NAME.safetensors.index.json`. Returns the paths of the weight files. Throws `RangeError` when a tensor's
 * data does not fill its shape.
 */
export function writeSafetensors(
  path: string,
  tensors: readonly TensorToWrite[],
  options: WriteOptions = {},
): string[] {
  const shards = split(tensors, options.shardBytes ?? Infinity);
  if (options.shardBytes === undefined) {
    writeFile(path, tensors);
    return [path];
  }
  const stem = path.replace(/\.safetensors$/, "");
  const paths = shards.map((_, index) =>
    `${stem}-${ordinal(index + 1)}-of-${ordinal(shards.length)}`
  )
    .map((name) => `${name}.safetensors`);
  shards.forEach((shard, index) => writeFile(paths[index]!, shard));
  writeIndex(`${stem}.safetensors.index.json`, shards, paths);
  return paths;
}

function writeIndex(path: string, shards: readonly TensorToWrite[][], paths: string[]): void {
  const entries = shards.flatMap((shard, index) =>
    shard.map(({ name }) => [name, paths[index]!.replace(/^.*\//, "")])
  );
  const total = shards.flat().reduce((sum, tensor) => sum + byteLength(tensor), 0);
  const index = { metadata: { total_size: total }, weight_map: Object.fromEntries(entries) };
  Deno.writeTextFileSync(path, JSON.stringify(index, null, 2));
}

function writeFile(path: string, tensors: readonly TensorToWrite[]): void {
  using file = Deno.openSync(path, { write: true, create: true, truncate: true });
  writeAll(file, encodeHeader(tensors));
  for (const tensor of tensors) {
    const chunks = tensor.data instanceof Uint8Array ? [tensor.data] : tensor.data();
    let written = 0;
    for (const chunk of chunks) {
      writeAll(file, chunk);
      written += chunk.byteLength;
    }
    if (written !== byteLength(tensor)) {
      const sizes = `${written} bytes for ${byteLength(tensor)}`;
      throw new RangeError(`Cannot write tensor ${tensor.name}: ${sizes}`);
    }
  }
}

function encodeHeader(tensors: readonly TensorToWrite[]): Uint8Array {
  const header: Record<string, unknown> = { __metadata__: { format: "pt" } };
  let begin = 0;
  for (const tensor of tensors) {
    const end = begin + byteLength(tensor);
    const { dtype, shape } = tensor;
    header[tensor.name] = { dtype: dtype.toUpperCase(), shape, data_offsets: [begin, end] };
    begin = end;
  }
  const json = new TextEncoder().encode(JSON.stringify(header));
  const padded = Math.ceil(json.byteLength / 8) * 8;
  const bytes = new Uint8Array(8 + padded).fill(0x20, 8);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(padded), true);
  bytes.set(json, 8);
  return bytes;
}

function split(tensors: readonly TensorToWrite[], shardBytes: number): TensorToWrite[][] {
  const shards: TensorToWrite[][] = [];
  let room = 0;
  for (const tensor of tensors) {
    const size = byteLength(tensor);
    const shard = shards.at(-1);
    if (shard !== undefined && size <= room) shard.push(tensor);
    else shards.push([tensor]);
    room = (shard !== undefined && size <= room ? room : shardBytes) - size;
  }
  return shards;
}

function byteLength({ dtype, shape }: TensorToWrite): number {
  const bits = DTYPE_BITS[dtype.toUpperCase() as keyof typeof DTYPE_BITS];
  return shape.reduce((product, size) => product * size, 1) * bits / 8;
}

function writeAll(file: Deno.FsFile, bytes: Uint8Array): void {
  let written = 0;
  while (written < bytes.byteLength) written += file.writeSync(bytes.subarray(written));
}

function ordinal(number: number): string {
  return String(number).padStart(5, "0");
}
