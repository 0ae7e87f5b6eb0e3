/**
 * The reference backend: plain TypeScript in float64 over float32 storage. Slow and obviously right; every
 * other backend is compared with it.
 * @module
 */
import type {
  Backend,
  Counts,
  KvCache,
  KvCacheSpec,
  MemoryUse,
  Program,
  Recorder,
  Tensor,
  TensorSpec,
} from "../backend.ts";
import { byteLength } from "../dtype.ts";
import { KernelError } from "../errors.ts";
import { type Operation, ReferenceRecorder } from "./recorder.ts";
import { host, HostKvCache, HostTensor } from "./tensor.ts";

/** Makes a reference backend whose tensors together stay under `maxBytes` (default 2 GiB). */
export function createReferenceBackend(options: { maxBytes?: number } = {}): Backend {
  return new ReferenceBackend(options.maxBytes ?? 2 ** 31);
}

interface ReferenceProgram extends Program {
  readonly operations: readonly Operation[];
}

class ReferenceBackend implements Backend {
  readonly name = "reference";
  #used = 0;
  #closed = false;

  constructor(readonly limit: number) {}

  get memory(): MemoryUse {
    return { used: this.#used, limit: this.limit };
  }

  tensor(spec: TensorSpec): Tensor {
    this.#open();
    this.#claim(byteLength(spec.dtype, spec.shape), spec.label);
    return new HostTensor(spec);
  }

  kvCache(spec: KvCacheSpec): KvCache {
    this.#open();
    this.#claim(
      8 * spec.layers * spec.pages * spec.pageSize * spec.kvHeads * spec.headDim,
      "KV cache",
    );
    return new HostKvCache(spec);
  }

  load(
    tensor: Tensor,
    byteOffset: number,
    byteLength: number,
    read: (into: Uint8Array, offset: number) => void,
  ): void {
    const { bytes, sealed } = host(tensor);
    if (sealed) {
      throw new KernelError("InvalidArgument", `Cannot load a sealed weight: ${tensor.label}`);
    }
    if (byteOffset < 0 || byteOffset + byteLength > bytes.byteLength) {
      throw new KernelError(
        "InvalidArgument",
        `Cannot load past the end of a weight: ${tensor.label}`,
      );
    }
    read(bytes.subarray(byteOffset, byteOffset + byteLength), 0);
  }

  seal(tensor: Tensor): void {
    host(tensor).sealed = true;
  }

  write(tensor: Tensor, values: Float32Array | Int32Array, elementOffset = 0): void {
    const to = host(tensor);
    const typed = matching(to, values);
    if (elementOffset < 0 || elementOffset + values.length > typed.length) {
      throw new KernelError(
        "InvalidArgument",
        `Cannot write past the end of a tensor: ${tensor.label}`,
      );
    }
    typed.set(values, elementOffset);
  }

  read<T extends Float32Array | Int32Array>(tensor: Tensor, into: T): Promise<T> {
    const typed = matching(host(tensor), into);
    if (into.length > typed.length) {
      throw new KernelError(
        "InvalidArgument",
        `Cannot read past the end of a tensor: ${tensor.label}`,
      );
    }
    into.set(typed.subarray(0, into.length));
    return Promise.resolve(into);
  }

  record(label: string, build: (recorder: Recorder) => void): Program {
    this.#open();
    const recorder = new ReferenceRecorder();
    build(recorder);
    const { operations } = recorder;
    return { label, length: operations.length, operations } as ReferenceProgram;
  }

  run(program: Program, counts: Counts): Promise<void> {
    this.#open();
    for (const operation of (program as ReferenceProgram).operations) operation(counts);
    return Promise.resolve();
  }

  close(): void {
    this.#closed = true;
  }

  #open(): void {
    if (this.#closed) throw new KernelError("Closed", "Cannot use a closed backend: reference");
  }

  #claim(bytes: number, label: string): void {
    const left = this.limit - this.#used;
    if (bytes > left) {
      throw new KernelError(
        "OutOfMemory",
        `Cannot allocate ${label}: ${bytes} bytes asked, ${left} left`,
      );
    }
    this.#used += bytes;
  }
}

function matching(
  tensor: HostTensor,
  values: Float32Array | Int32Array,
): Float32Array | Int32Array {
  const wanted = values instanceof Int32Array ? "i32" : "f32";
  if (tensor.dtype !== wanted) {
    throw new KernelError(
      "InvalidArgument",
      `Cannot access ${tensor.label} as ${wanted}: ${tensor.dtype}`,
    );
  }
  return wanted === "i32" ? tensor.ints : tensor.floats;
}
