/** Brings a checkpoint's tensors into device memory. */
import type { Backend, Tensor, WeightDType } from "../backend.ts";
import { byteLength, isWeightDType, widen } from "../dtype.ts";
import { KernelError } from "../errors.ts";
import type { WeightSource } from "../formats/mod.ts";

/** Called after each tensor with the bytes loaded so far. */
export type LoadProgress = (loadedBytes: number) => void;

/** A tensor of the checkpoint and the shape that the model needs it to have. */
export interface Part {
  readonly name: string;
  readonly shape: readonly number[];
}

/** Loads tensors by name. Throws `InvalidModel` for a missing tensor or a wrong shape. */
export class WeightLoader {
  #loaded = 0;

  constructor(
    readonly backend: Backend,
    readonly source: WeightSource,
    readonly progress: LoadProgress = () => {},
  ) {}

  /**
   * The parts stacked along their first dimension, as stored; parts of several dtypes are widened to `f32`,
   * which every one of them fits exactly.
   */
  stack(label: string, parts: readonly Part[], shape: readonly number[]): Tensor {
    const dtypes = new Set(parts.map((part) => this.#check(part)));
    const [stored] = dtypes;
    const dtype = dtypes.size === 1 ? stored! : "f32";
    const tensor = this.backend.tensor({ label, dtype, shape });
    let offset = 0;
    for (const part of parts) {
      const bytes = byteLength(dtype, part.shape);
      if (dtypes.size === 1) {
        this.backend.load(
          tensor,
          offset,
          bytes,
          (into, at) => this.source.read(part.name, at, into),
        );
        this.progress(this.#loaded += bytes);
      } else this.backend.write(tensor, this.#floats(part), offset / 4);
      offset += bytes;
    }
    this.backend.seal(tensor);
    return tensor;
  }

  /** Whether the parts have one dtype, so that stacking them changes nothing. */
  storedAlike(parts: readonly Part[]): boolean {
    return new Set(parts.map((part) => this.#check(part))).size === 1;
  }

  /** One matrix as stored. */
  matrix(name: string, rows: number, columns: number): Tensor {
    return this.stack(name, [{ name, shape: [rows, columns] }], [rows, columns]);
  }

  /** A norm or bias, widened to float32; several parts are joined. */
  vector(label: string, parts: readonly Part[]): Tensor {
    const values = parts.map((part) => this.#floats(part));
    const length = values.reduce((sum, part) => sum + part.length, 0);
    const tensor = this.backend.tensor({ label, dtype: "f32", shape: [length] });
    let offset = 0;
    for (const part of values) {
      this.backend.write(tensor, part, offset);
      offset += part.length;
    }
    return tensor;
  }

  #floats(part: Part): Float32Array {
    const dtype = this.#check(part);
    const bytes = new Uint8Array(byteLength(dtype, part.shape));
    this.source.read(part.name, 0, bytes);
    this.progress(this.#loaded += bytes.length);
    return widen(dtype, bytes.buffer);
  }

  #check({ name, shape }: Part): WeightDType {
    const info = this.source.info(name);
    if (!info) throw new KernelError("InvalidModel", `Cannot find a tensor of the model: ${name}`);
    if (info.shape.join() !== shape.join()) {
      throw new KernelError(
        "InvalidModel",
        `Cannot load ${name}, shape [${shape.join(", ")}] expected: [${info.shape.join(", ")}]`,
      );
    }
    if (!isWeightDType(info.dtype)) {
      throw new KernelError("Unsupported", `Cannot load ${name} of dtype: ${info.dtype}`);
    }
    return info.dtype;
  }
}

/** Bytes of all tensors of a checkpoint. */
export function checkpointBytes(source: WeightSource): number {
  return source.names().reduce((sum, name) => sum + (source.info(name)?.byteLength ?? 0), 0);
}
