import { contentHash } from "./content_hash.ts";
import { FormatError } from "./errors.ts";
import { quote } from "../quote.ts";
import { openWeightFile, readExactly } from "./file_range.ts";
import {
  MAX_HEADER_BYTES,
  parseSafetensorsHeader,
  type TensorLocation,
} from "./safetensors_header.ts";
import type { TensorInfo, WeightSource } from "./weight_source.ts";

const LENGTH_BYTES = 8;

interface Shard {
  readonly path: string;
  readonly file: Deno.FsFile;
  readonly dataStart: number;
  readonly tensors: ReadonlyMap<string, TensorLocation>;
}

/**
 * Opens one safetensors file, or the shards of one checkpoint, as a source of weights. Headers are read
 * and checked at once, data on demand. Throws {@link FormatError} `NotFound`, `Truncated`, `InvalidHeader`,
 * or `Mismatch` when two shards hold a tensor of the same name.
 */
export function openSafetensors(paths: string | readonly string[]): WeightSource {
  const shards: Shard[] = [];
  try {
    for (const path of typeof paths === "string" ? [paths] : paths) shards.push(openShard(path));
    return new SafetensorsSource(shards);
  } catch (cause) {
    for (const shard of shards) shard.file.close();
    throw cause;
  }
}

class SafetensorsSource implements WeightSource {
  readonly #shards: readonly Shard[];
  readonly #owners = new Map<string, Shard>();
  #open = true;

  constructor(shards: readonly Shard[]) {
    this.#shards = shards;
    for (const shard of shards) {
      for (const name of shard.tensors.keys()) this.#claim(name, shard);
    }
  }

  names(): readonly string[] {
    return [...this.#owners.keys()];
  }

  info(name: string): TensorInfo | undefined {
    return this.#owners.get(name)?.tensors.get(name);
  }

  read(name: string, byteOffset: number, into: Uint8Array): void {
    const shard = this.#owners.get(name);
    const tensor = shard?.tensors.get(name);
    if (!this.#open) throw new FormatError("Closed", `Cannot read closed checkpoint: ${name}`);
    if (shard === undefined || tensor === undefined) {
      throw new FormatError("NotFound", `Cannot find tensor in checkpoint: ${quote(name)}`);
    }
    const end = byteOffset + into.byteLength;
    if (!Number.isSafeInteger(byteOffset) || byteOffset < 0 || end > tensor.byteLength) {
      const asked = `${byteOffset} to ${end} of ${tensor.byteLength}`;
      throw new FormatError("OutOfRange", `Cannot read bytes of ${quote(name)}: ${asked}`);
    }
    readExactly(shard.file, shard.path, shard.dataStart + tensor.begin + byteOffset, into);
  }

  hash(): Promise<string> {
    return contentHash(
      this.#shards.map(({ path, dataStart }) => ({ path, headerBytes: dataStart })),
    );
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    for (const shard of this.#shards) shard.file.close();
  }

  #claim(name: string, shard: Shard): void {
    const owner = this.#owners.get(name);
    if (owner !== undefined) {
      const files = `${owner.path} and ${shard.path}`;
      throw new FormatError("Mismatch", `Cannot hold tensor ${quote(name)} twice: in ${files}`);
    }
    this.#owners.set(name, shard);
  }
}

function openShard(path: string): Shard {
  const file = openWeightFile(path);
  try {
    const { size } = file.statSync();
    const length = headerLength(file, path, size);
    const header = new Uint8Array(length);
    readExactly(file, path, LENGTH_BYTES, header);
    const dataStart = LENGTH_BYTES + length;
    return {
      path,
      file,
      dataStart,
      tensors: parseSafetensorsHeader(header, size - dataStart, path),
    };
  } catch (cause) {
    file.close();
    throw cause;
  }
}

function headerLength(file: Deno.FsFile, path: string, size: number): number {
  const bytes = new Uint8Array(LENGTH_BYTES);
  readExactly(file, path, 0, bytes);
  const length = new DataView(bytes.buffer).getBigUint64(0, true);
  if (length > MAX_HEADER_BYTES) {
    const fault = `header of ${length} bytes is over ${MAX_HEADER_BYTES}`;
    throw new FormatError("InvalidHeader", `Cannot read safetensors header of ${path}: ${fault}`);
  }
  if (LENGTH_BYTES + Number(length) > size) {
    const fault = `header of ${length} bytes in a file of ${size}`;
    throw new FormatError("Truncated", `Cannot read half-copied file ${path}: ${fault}`);
  }
  return Number(length);
}
