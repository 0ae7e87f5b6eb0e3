import {
  type Counts,
  KV_BLOCK,
  type KvCache,
  type KvCacheSpec,
  type Tensor,
  type TensorSpec,
} from "../backend.ts";
import { byteLength, elements, widen } from "../dtype.ts";
import { KernelError } from "../errors.ts";

/** Host memory behind a tensor handle. Narrow floats are widened once, when first read. */
export class HostTensor implements Tensor {
  readonly label: string;
  readonly dtype: Tensor["dtype"];
  readonly shape: readonly number[];
  readonly rows?: "tokens" | "samples";
  readonly bytes: Uint8Array<ArrayBuffer>;
  sealed = false;
  #floats: Float32Array | undefined;

  constructor(spec: TensorSpec) {
    this.label = spec.label;
    this.dtype = spec.dtype;
    this.shape = spec.shape;
    if (spec.rows !== undefined) this.rows = spec.rows;
    this.bytes = new Uint8Array(byteLength(spec.dtype, spec.shape));
  }

  get byteLength(): number {
    return this.bytes.byteLength;
  }

  /** Values per row: the product of all dimensions but the first. */
  get width(): number {
    return elements(this.shape.slice(1));
  }

  /** The values as float32; a live view when that is how they are stored. */
  get floats(): Float32Array {
    return this.#floats ??= widen(this.dtype, this.bytes.buffer);
  }

  get ints(): Int32Array {
    return new Int32Array(this.bytes.buffer);
  }

  /** Live rows of this tensor in one run. */
  live(counts: Counts): number {
    return this.rows === undefined ? this.shape[0]! : counts[this.rows];
  }
}

/** Keys and values as plain arrays: `[layer][page][slot][kvHead][headDim]`. */
export class HostKvCache implements KvCache {
  readonly keys: Float32Array;
  readonly values: Float32Array;

  constructor(readonly spec: KvCacheSpec) {
    const size = spec.layers * spec.pages * spec.pageSize * spec.kvHeads * spec.headDim;
    this.keys = new Float32Array(size);
    this.values = new Float32Array(size);
  }

  get byteLength(): number {
    return this.keys.byteLength * 2;
  }

  /** A head as the cache has it: integers lose what they cannot hold, `f16` is kept whole. */
  rounded(head: Float32Array): Float32Array {
    if (this.spec.dtype !== "int8") return head;
    const rounded = new Float32Array(head.length);
    for (let first = 0; first < head.length; first += KV_BLOCK) {
      const block = head.subarray(first, first + KV_BLOCK);
      const largest = block.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
      if (largest === 0) continue;
      const inverse = Math.fround(127 / largest);
      rounded.set(block.map((value) => Math.round(value * inverse) * (largest / 127)), first);
    }
    return rounded;
  }

  /** Element offset of one head of one slot. */
  offset(layer: number, page: number, slot: number, head: number): number {
    const { pages, pageSize, kvHeads, headDim } = this.spec;
    return (((layer * pages + page) * pageSize + slot) * kvHeads + head) * headDim;
  }
}

/** The host memory of a handle; `InvalidArgument` for another backend's handle. */
export function host(tensor: Tensor): HostTensor {
  if (tensor instanceof HostTensor) return tensor;
  throw new KernelError("InvalidArgument", `Cannot use another backend's tensor: ${tensor.label}`);
}
