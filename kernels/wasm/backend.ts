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
import { KernelError } from "../errors.ts";
import { checkCounts, checkRange, checkValues, own } from "../handle_checks.ts";
import { Control, Fault, Op, OP_BYTES, Stored, Weight, WEIGHT_BYTES, Word } from "./opcodes.ts";
import { loadKernels } from "./binaries.ts";
import { Heap, MAX_MEMORY_BYTES } from "./heap.ts";
import { type Arena, type Step, WasmRecorder } from "./recorder.ts";
import { WasmKvCache, WasmTensor } from "./tensor.ts";
import type { WasmThreads } from "./threads.ts";

/** Options of {@link createWasmBackend}. */
export interface WasmBackendOptions {
  /** The device's threads; several backends may share them. */
  readonly threads: WasmThreads;
  /** Most bytes of the shared memory, at most 4 GiB (the default). */
  readonly maxBytes?: number;
  /** Whether to use relaxed SIMD; by default where the machine has it. */
  readonly relaxed?: boolean;
}

interface Kernels {
  start(program: number, length: number): void;
  work(thread: number): void;
}

class WasmProgram implements Program {
  constructor(
    readonly label: string,
    readonly length: number,
    readonly owner: object,
    readonly address: number,
    readonly steps: number,
    readonly capacity: Counts,
    public unpacked: readonly WasmTensor[],
  ) {}
}

const stored = {
  f32: Stored.F32,
  f16: Stored.F16,
  bf16: Stored.BF16,
  q8_0: Stored.Q8_0,
  q4_0: Stored.Q4_0,
  q4_k: Stored.Q4_K,
  q6_k: Stored.Q6_K,
} as const;
type Words = Float32Array | Int32Array;
const FEW = 16;
const MIN_THREAD_SCRATCH = 65536;
/** Room that a tile's results take before a widened panel. */
const TILE_SINK = 512;
const faults: Record<number, string> = {
  [Fault.TokenId]: "token id",
  [Fault.Position]: "position",
  [Fault.Sequence]: "sequence row",
  [Fault.Page]: "page",
  [Fault.RowIndex]: "row index",
};

/** The backend over one shared WebAssembly memory. */
class WasmBackend implements Backend, Arena {
  readonly name = "wasm";
  readonly #heap: Heap;
  readonly #threads: WasmThreads;
  readonly #slot: number;
  readonly #regions = new Map<string, { address: number; bytes: number }>();
  readonly #sealing: number;
  #kernels: Kernels | undefined;
  #lost = false;

  constructor(heap: Heap, threads: WasmThreads, slot: number, kernels: Kernels) {
    this.#heap = heap;
    this.#threads = threads;
    this.#slot = slot;
    this.#kernels = kernels;
    heap.words()[Control.Threads / 4] = threads.count;
    this.#sealing = heap.allocate(3 * OP_BYTES, "the sealing program");
    this.threadScratch(MIN_THREAD_SCRATCH);
  }

  get memory(): MemoryUse {
    return this.#heap.use;
  }

  tensor(spec: TensorSpec): Tensor {
    this.#open();
    const tensor = new WasmTensor(spec, this);
    tensor.place(this.#heap.allocate(tensor.allocatedBytes, spec.label));
    return tensor;
  }

  kvCache(spec: KvCacheSpec): KvCache {
    this.#open();
    const cache = new WasmKvCache(spec, this);
    cache.address = this.#heap.allocate(cache.byteLength, "the KV cache");
    return cache;
  }

  load(
    handle: Tensor,
    byteOffset: number,
    byteLength: number,
    read: (into: Uint8Array, offset: number) => void,
  ): void {
    const tensor = this.#writable(handle, "load");
    checkRange("load", tensor, byteOffset, byteLength, tensor.byteLength);
    for (const { address, offset, length } of tensor.pieces(byteOffset, byteLength)) {
      read(this.#heap.bytes(address, length), offset);
    }
  }

  seal(handle: Tensor): void {
    const tensor = own(handle, this, WasmTensor);
    if (tensor.state === "open") tensor.state = "sealed";
  }

  write(handle: Tensor, values: Float32Array | Int32Array, elementOffset = 0): void {
    const tensor = this.#writable(handle, "write");
    checkValues("write", tensor, values);
    checkRange("write", tensor, elementOffset, values.length, tensor.size);
    const memory = values instanceof Float32Array ? this.#heap.floats() : this.#heap.ints();
    if (tensor.contiguous) return memory.set(values, tensor.address / 4 + elementOffset);
    for (const piece of tensor.pieces(elementOffset * 4, values.length * 4)) {
      const part = values.subarray(piece.offset / 4, (piece.offset + piece.length) / 4);
      memory.set(part, piece.address / 4);
    }
  }

  // deno-lint-ignore require-await -- the interface is asynchronous, this memory is not
  async read<T extends Float32Array | Int32Array>(handle: Tensor, into: T): Promise<T> {
    this.#open();
    const tensor = own(handle, this, WasmTensor);
    checkValues("read", tensor, into);
    checkRange("read", tensor, 0, into.length, tensor.size);
    if (tensor.state === "packed") {
      throw new KernelError("InvalidArgument", `Cannot read a rearranged weight: ${tensor.label}`);
    }
    const memory = into instanceof Float32Array ? this.#heap.floats() : this.#heap.ints();
    if (tensor.contiguous) {
      copy(into, memory, tensor.address / 4);
      return into;
    }
    for (const { address, offset, length } of tensor.pieces(0, into.length * 4)) {
      into.set(memory.subarray(address / 4, (address + length) / 4), offset / 4);
    }
    return into;
  }

  record(label: string, build: (recorder: Recorder) => void): Program {
    this.#open();
    const recorder = new WasmRecorder(this);
    build(recorder);
    const { steps, length, capacity, weights } = recorder;
    const address = this.#heap.allocate(steps.length * OP_BYTES, label);
    steps.forEach((step, i) => this.#writeStep(address + i * OP_BYTES, step));
    return new WasmProgram(label, length, this, address, steps.length, capacity, [...weights]);
  }

  // deno-lint-ignore require-await -- the program runs on the calling thread; errors reject
  async run(handle: Program, counts: Counts): Promise<void> {
    this.#open();
    const program = own(handle, this, WasmProgram);
    checkCounts(program, counts);
    for (const weight of program.unpacked) this.#pack(weight);
    program.unpacked = [];
    const words = this.#heap.words();
    words[Control.Tokens / 4] = counts.tokens;
    words[Control.Samples / 4] = counts.samples;
    this.#execute(program.address, program.steps);
    this.#checkFault(program);
  }

  close(): void {
    if (this.#kernels === undefined) return;
    this.#kernels = undefined;
    this.#threads.detach(this.#slot);
  }

  resolve(handle: Tensor): WasmTensor {
    return own(handle, this, WasmTensor);
  }

  cache(cache: KvCache): WasmKvCache {
    return own(cache, this, WasmKvCache);
  }

  weight(handle: Tensor): number {
    const tensor = own(handle, this, WasmTensor);
    if (tensor.descriptor === 0) this.#describe(tensor);
    return tensor.descriptor;
  }

  readonly region = (name: string, bytes: number): number => {
    const known = this.#regions.get(name);
    if (known && known.bytes >= bytes) return known.address;
    const address = this.#heap.allocate(bytes, `scratch memory (${name})`);
    this.#regions.set(name, { address, bytes });
    return address;
  };

  threadScratch(bytes: number): void {
    const words = this.#heap.words();
    if (words[Control.ScratchBytes / 4]! >= bytes) return;
    const each = 2 ** Math.ceil(Math.log2(bytes));
    const address = this.#heap.allocate(each * this.#threads.count, "scratch memory of threads");
    this.#heap.words()[Control.Scratch / 4] = address;
    this.#heap.words()[Control.ScratchBytes / 4] = each;
  }

  #describe(tensor: WasmTensor): void {
    if (tensor.dtype === "i32" || tensor.rows !== undefined || tensor.shape.length < 2) {
      throw new KernelError("InvalidShape", `Cannot use as a weight: ${tensor.label}`);
    }
    const { matrices, n, k } = tensor.matrix;
    this.threadScratch(128 * k + TILE_SINK);
    tensor.descriptor = this.#heap.allocate(WEIGHT_BYTES, tensor.label);
    const words = this.#heap.words();
    const set = (field: Weight, value: number) => words[tensor.descriptor / 4 + field] = value;
    set(Weight.Data, tensor.address);
    set(Weight.Stored, stored[tensor.dtype]);
    set(Weight.Matrices, matrices);
    set(Weight.N, n);
    set(Weight.K, k);
    set(Weight.Bytes, tensor.matrixBytes);
  }

  /** Rearranges a weight; what was not sealed is sealed by its first use. */
  #pack(tensor: WasmTensor): void {
    if (tensor.state === "packed") return;
    tensor.state = "packed";
    const passes = [0, 1, 2];
    passes.forEach((Flags, i) =>
      this.#writeStep(this.#sealing + i * OP_BYTES, {
        opcode: Op.Seal,
        words: { Weight: tensor.descriptor, Flags },
      })
    );
    this.#execute(this.#sealing, passes.length);
  }

  #writeStep(address: number, { opcode, words }: Step): void {
    const target = this.#heap.words().subarray(address / 4, (address + OP_BYTES) / 4);
    target.fill(0);
    target[Word.Opcode] = opcode;
    for (const [name, value] of Object.entries(words)) {
      const index = Word[name as keyof typeof Word];
      if (name === "Scale") new Float32Array(target.buffer, address)[index] = value;
      else target[index] = value;
    }
  }

  #execute(program: number, steps: number): void {
    const kernels = this.#kernels!;
    try {
      kernels.start(program, steps);
      this.#threads.wake(this.#slot);
      kernels.work(0);
    } catch (error) {
      this.#lost = true;
      Atomics.store(this.#heap.words(), Control.Abort / 4, 1);
      throw new KernelError("DeviceLost", `Cannot finish a program: ${error}`);
    }
  }

  #checkFault(program: WasmProgram): void {
    const words = this.#heap.words();
    const code = words[Control.FaultCode / 4]!;
    if (code === Fault.None) return;
    words[Control.FaultCode / 4] = Fault.None;
    const value = words[Control.FaultValue / 4]! | 0;
    throw new KernelError(
      "InvalidArgument",
      `Cannot run ${program.label}, ${faults[code]} out of range: ${value}`,
    );
  }

  #writable(handle: Tensor, action: string): WasmTensor {
    this.#open();
    const tensor = own(handle, this, WasmTensor);
    if (tensor.state === "open") return tensor;
    throw new KernelError("InvalidArgument", `Cannot ${action} a sealed weight: ${tensor.label}`);
  }

  #open(): void {
    if (this.#kernels === undefined) {
      throw new KernelError("Closed", "Cannot use the backend: closed");
    }
    if (this.#lost) throw new KernelError("DeviceLost", "Cannot use the backend: a kernel failed");
  }
}

/** Fills `into` from `at` on; a few values without a view, which costs more than they do. */
function copy(into: Words, from: Words, at: number): void {
  if (into.length > FEW) return into.set(from.subarray(at, at + into.length));
  for (let i = 0; i < into.length; i++) into[i] = from[at + i]!;
}

/** Creates a backend with its own shared memory, served by `threads`. */
export async function createWasmBackend(options: WasmBackendOptions): Promise<Backend> {
  const heap = new Heap(options.maxBytes ?? MAX_MEMORY_BYTES);
  const module = await loadKernels(options.relaxed);
  const { exports } = new WebAssembly.Instance(module, { env: { memory: heap.memory } });
  const slot = await options.threads.attach(module, heap.memory);
  return new WasmBackend(heap, options.threads, slot, exports as unknown as Kernels);
}
