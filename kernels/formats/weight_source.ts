import type { WeightDType } from "../backend.ts";
import { isWeightDType, widen } from "../dtype.ts";
import { FormatError } from "./errors.ts";
import { quote } from "../quote.ts";
import type { GgmlDType } from "./gguf/mod.ts";

/** Bits an element of every dtype that a safetensors file may hold. */
export const DTYPE_BITS = {
  F64: 64,
  F32: 32,
  F16: 16,
  BF16: 16,
  F8_E4M3: 8,
  F8_E5M2: 8,
  F8_E8M0: 8,
  F6_E2M3: 6,
  F6_E3M2: 6,
  F4: 4,
  C64: 64,
  I64: 64,
  I32: 32,
  I16: 16,
  I8: 8,
  U64: 64,
  U32: 32,
  U16: 16,
  U8: 8,
  BOOL: 8,
} as const;

/** A dtype of a safetensors file, in lower case. */
export type SafetensorsDType = Lowercase<keyof typeof DTYPE_BITS>;

/** A dtype as stored, in lower case: the weight dtypes and those that are listed but not computed with. */
export type StoredDType = SafetensorsDType | GgmlDType;

/** What is known of a tensor before it is read. */
export interface TensorInfo {
  /** How elements are stored. */
  readonly dtype: StoredDType;
  /** Sizes of the dimensions, outermost first; empty for a scalar. */
  readonly shape: readonly number[];
  /** Bytes of the whole tensor. */
  readonly byteLength: number;
}

/** A tensor whose dtype the backends compute with. */
export interface WeightInfo extends TensorInfo {
  /** How elements are stored. */
  readonly dtype: WeightDType;
}

/** The tensors of a checkpoint, read by range. All methods throw {@link FormatError}. */
export interface WeightSource {
  /** Names of all tensors, in file order. */
  names(): readonly string[];
  /** What is known of a tensor; `undefined` when the checkpoint has none of that name. */
  info(name: string): TensorInfo | undefined;
  /**
   * Reads `into.byteLength` bytes of a tensor from `byteOffset` on, synchronously, straight into the view,
   * which may lie in shared memory. Little-endian, row-major, as stored.
   */
  read(name: string, byteOffset: number, into: Uint8Array): void;
  /**
   * Content identity of the files: `sha256:` over every byte below 256 MiB in all, else `sha256-sampled:` over
   * lengths, headers, 1 MiB at every 128 MiB and the last 1 MiB of each file. Reads them again.
   */
  hash(): Promise<string>;
  /** Closes the files; later reads throw `Closed`. */
  close(): void;
}

/** What is known of a weight. Throws `NotFound` without it, `Unsupported` for a dtype that weights cannot have. */
export function weightInfo(source: WeightSource, name: string): WeightInfo {
  const info = source.info(name);
  if (info === undefined) {
    throw new FormatError("NotFound", `Cannot find tensor in checkpoint: ${quote(name)}`);
  }
  const { dtype } = info;
  if (!isWeightDType(dtype)) {
    throw new FormatError("Unsupported", `Cannot compute with dtype of ${quote(name)}: ${dtype}`);
  }
  return { ...info, dtype };
}

/** Reads a whole weight and widens it to float32; for small tensors such as norms and biases. */
export function readFloat32(source: WeightSource, name: string): Float32Array<ArrayBuffer> {
  const { dtype, byteLength } = weightInfo(source, name);
  const bytes = new Uint8Array(byteLength);
  source.read(name, 0, bytes);
  return widen(dtype, bytes.buffer);
}
