import {
  type DType,
  KV_BLOCK,
  type KvCache,
  type KvCacheSpec,
  type KvDType,
  type Rows,
  type Tensor,
  type TensorSpec,
} from "../backend.ts";
import { blocks, byteLength, elements } from "../dtype.ts";
import { KernelError } from "../errors.ts";

/** Rows of a panel. */
const PANEL = 32;
/** Bytes that a stored block takes in a panel, where 6-bit scales become bytes. */
const packedBlocks: Readonly<Partial<Record<DType, number>>> = { q4_k: 148 };

/**
 * A tensor in the shared memory. A stack of matrices is padded to whole panels of 32 rows each; rows are loaded
 * to where their panel will be.
 */
export class WasmTensor implements Tensor {
  readonly label: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly rows?: Rows;
  readonly byteLength: number;
  /** Values in it. */
  readonly size: number;
  readonly allocatedBytes: number;
  /** Bytes of a matrix as the caller counts them, and as they lie in memory. */
  readonly #logicalMatrix: number;
  readonly #physicalMatrix: number;
  /** The same of the runs of rows that stay together while loading: panels, or whole matrices. */
  readonly #logicalRun: number;
  readonly #physicalRun: number;
  #address = 0;
  /** Address of the weight's descriptor once an op uses it as a matrix. */
  descriptor = 0;
  /** Open: may be loaded. Sealed: complete. Packed: rearranged into panels. */
  state: "open" | "sealed" | "packed" = "open";

  constructor(spec: TensorSpec, readonly owner: object) {
    checkShape(spec);
    this.label = spec.label;
    this.dtype = spec.dtype;
    this.shape = [...spec.shape];
    if (spec.rows !== undefined) this.rows = spec.rows;
    const { matrices, n, k } = this.matrix;
    this.size = elements(spec.shape);
    this.byteLength = byteLength(spec.dtype, spec.shape);
    this.#logicalMatrix = this.byteLength / matrices;
    const plain = spec.dtype === "i32" || spec.rows !== undefined || spec.shape.length < 2;
    const { elements: width, bytes } = blocks[spec.dtype];
    const panel = byteLength(spec.dtype, [PANEL, k]);
    const packed = k / width * PANEL * (packedBlocks[spec.dtype] ?? bytes);
    this.#physicalMatrix = plain ? this.#logicalMatrix : Math.ceil(n / PANEL) * packed;
    const contiguous = plain || packed === panel;
    this.#logicalRun = contiguous ? this.#logicalMatrix : panel;
    this.#physicalRun = contiguous ? this.#physicalMatrix : packed;
    this.allocatedBytes = matrices * this.#physicalMatrix;
  }

  get address(): number {
    return this.#address;
  }

  place(address: number): void {
    this.#address = address;
  }

  /** The tensor as a stack of matrices `[n, k]`. */
  get matrix(): { matrices: number; n: number; k: number } {
    const matrices = this.shape.slice(0, -2).reduce((product, size) => product * size, 1);
    return { matrices, n: this.shape.at(-2) ?? 1, k: this.shape.at(-1) ?? 1 };
  }

  /** Whether its bytes lie as the caller counts them, in one piece. */
  get contiguous(): boolean {
    return this.#logicalMatrix === this.#physicalMatrix;
  }

  get matrixBytes(): number {
    return this.#physicalMatrix;
  }

  /** Values of one row, the first dimension aside. */
  get width(): number {
    return this.shape.slice(1).reduce((product, size) => product * size, 1);
  }

  /** The contiguous pieces of memory that hold a byte range, in order. */
  *pieces(
    byteOffset: number,
    byteLength: number,
  ): Generator<{ address: number; offset: number; length: number }> {
    for (let offset = 0; offset < byteLength;) {
      const matrix = Math.floor((byteOffset + offset) / this.#logicalMatrix);
      const inMatrix = byteOffset + offset - matrix * this.#logicalMatrix;
      const run = Math.floor(inMatrix / this.#logicalRun);
      const inRun = inMatrix - run * this.#logicalRun;
      const left = Math.min(this.#logicalRun - inRun, this.#logicalMatrix - inMatrix);
      const length = Math.min(byteLength - offset, this.contiguous ? byteLength : left);
      const start = matrix * this.#physicalMatrix + run * this.#physicalRun + inRun;
      yield { address: this.#address + start, offset, length };
      offset += length;
    }
  }
}

/** Slots or dims of a page, rounded up to whole strips: see assembly/cache.ts. */
export function roundToStrip(size: number): number {
  return size > 8 ? Math.ceil(size / 16) * 16 : 8;
}

const elementBytes: Readonly<Record<KvDType, number>> = { f32: 4, f16: 2, int8: 1 };

/** A paged KV cache in the shared memory: see assembly/cache.ts for its layout. */
export class WasmKvCache implements KvCache {
  readonly byteLength: number;

  constructor(readonly spec: KvCacheSpec, readonly owner: object, public address = 0) {
    const sizes = [spec.layers, spec.pages, spec.pageSize, spec.kvHeads, spec.headDim];
    if (!sizes.every((size) => Number.isSafeInteger(size) && size > 0)) {
      throw new KernelError("InvalidShape", `Cannot allocate a KV cache: ${JSON.stringify(spec)}`);
    }
    const slots = roundToStrip(spec.pageSize), dims = roundToStrip(spec.headDim);
    const scales = spec.dtype === "int8" ? 8 * Math.ceil(spec.headDim / KV_BLOCK) : 0;
    const slotBytes = (spec.headDim + dims) * elementBytes[spec.dtype] + scales;
    this.byteLength = spec.layers * spec.pages * spec.kvHeads * slots * slotBytes;
  }
}

function checkShape({ label, shape }: TensorSpec): void {
  if (shape.length > 0 && shape.every((size) => Number.isSafeInteger(size) && size > 0)) return;
  throw new KernelError("InvalidShape", `Cannot allocate ${label}: shape [${shape.join(", ")}]`);
}
