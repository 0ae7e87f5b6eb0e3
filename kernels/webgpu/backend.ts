/** The backend on one GPU. */
import type {
  Backend,
  Counts,
  KvCache,
  KvCacheSpec,
  MemoryUse,
  Program,
  Recorder,
  RecordOptions,
  Rows,
  Tensor,
  TensorSpec,
} from "../backend.ts";
import { KernelError } from "../errors.ts";
import type { PlanContext } from "./dispatch.ts";
import { fuseNorms, fuseRotations } from "./fuse.ts";
import { type Gpu, opened, type OpenGpu } from "./gpu.ts";
import { Memory } from "./memory.ts";
import { planSeal, tuningOf } from "./plans/mod.ts";
import { type DispatchProfile, profile } from "./profile.ts";
import { DeviceProgram, type ProgramParts } from "./program.ts";
import { Readback } from "./readback.ts";
import { type Arena, DeviceRecorder } from "./recorder.ts";
import { DeviceKvCache, DeviceTensor } from "./tensor.ts";
import { Upload } from "./upload.ts";

/** Options of {@link createWebGpuBackend}. */
export interface WebGpuBackendOptions {
  /** The GPU; several backends may share it. */
  readonly gpu: Gpu;
  /** Most bytes to allocate; by default as many as the driver gives, which WebGPU does not tell. */
  readonly maxBytes?: number;
  /** Constants of kernels that replace those for its adapter; `plans/tuning.ts` names them. */
  readonly tuning?: Readonly<Record<string, number>>;
}

/** What a backend asked of its GPU so far, for benches. */
export interface WebGpuCounters {
  /** Command buffers submitted. */
  submits: number;
  /** Waits for results. */
  readbacks: number;
  /** Kernels started. */
  dispatches: number;
  /** Milliseconds from submits to their results, in which the device computes. */
  waitMs: number;
}

/** A backend on a GPU. */
export interface WebGpuBackend extends Backend {
  /** What it asked of its GPU so far. */
  readonly counters: Readonly<WebGpuCounters>;
  /**
   * Runs a program with a pass of its own for each dispatch, and tells how long each took. Slower than
   * {@link Backend.run} and without its outputs. Throws `Unsupported` where passes cannot be timed.
   */
  profile(program: Program, counts: Counts): Promise<DispatchProfile[]>;
}

/** Makes a backend with its own budget of memory. */
export function createWebGpuBackend(options: WebGpuBackendOptions): WebGpuBackend {
  const maxBytes = options.maxBytes ?? Number.MAX_SAFE_INTEGER;
  if (!(maxBytes > 0)) {
    throw new KernelError("InvalidArgument", `Cannot make a backend with maxBytes: ${maxBytes}`);
  }
  return new DeviceBackend(opened(options.gpu), maxBytes, options.tuning);
}

class DeviceBackend implements WebGpuBackend, Arena {
  readonly name = "webgpu";
  readonly counters: WebGpuCounters = { submits: 0, readbacks: 0, dispatches: 0, waitMs: 0 };
  readonly device: GPUDevice;
  readonly subgroups: boolean;
  readonly f16: boolean;
  readonly tuning: PlanContext["tuning"];
  readonly #gpu: OpenGpu;
  readonly #memory: Memory;
  readonly #upload: Upload;
  readonly #readback: Readback;
  readonly #uniform: GPUBuffer;
  readonly #counts = new Uint32Array(2);
  #last: DeviceProgram | undefined;
  #closed = false;

  constructor(gpu: OpenGpu, maxBytes: number, tuning: PlanContext["tuning"] = {}) {
    const { device, faults, subgroups, f16 } = gpu;
    this.#gpu = gpu;
    this.device = device;
    this.subgroups = subgroups;
    this.f16 = f16;
    this.tuning = { ...tuningOf(gpu.info), ...tuning };
    this.#memory = new Memory(device, faults, maxBytes);
    this.#upload = new Upload(device.queue);
    this.#readback = new Readback(gpu, this.#memory);
    const usage = GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST;
    this.#uniform = device.createBuffer({ label: "step", size: 16, usage });
  }

  get memory(): MemoryUse {
    return this.#memory.use;
  }

  tensor(spec: TensorSpec): Tensor {
    this.#open();
    return new DeviceTensor(spec, this, this.#memory, this.#gpu.limits);
  }

  kvCache(spec: KvCacheSpec): KvCache {
    this.#open();
    return new DeviceKvCache(spec, this, this.#memory, this.#gpu.limits);
  }

  load(
    handle: Tensor,
    byteOffset: number,
    byteLength: number,
    read: (into: Uint8Array, offset: number) => void,
  ): void {
    const tensor = this.#writable(handle, "load");
    checkRange("load", tensor, byteOffset, byteLength, tensor.byteLength);
    this.#upload.load(tensor, byteOffset, byteLength, read);
  }

  seal(handle: Tensor): void {
    this.#open();
    const tensor = this.resolve(handle);
    if (tensor.state !== "open") return;
    this.#upload.seal(tensor);
    tensor.state = "sealed";
  }

  write(handle: Tensor, values: Float32Array | Int32Array, elementOffset = 0): void {
    const tensor = this.#writable(handle, "write");
    checkValues("write", tensor, values);
    checkRange("write", tensor, elementOffset, values.length, tensor.size);
    for (
      const { buffer, at, offset, length } of tensor.pieces(elementOffset * 4, values.length * 4)
    ) {
      this.#upload.write(buffer, at, values.subarray(offset / 4, (offset + length) / 4));
    }
    this.#last?.forget(tensor);
  }

  async read<T extends Float32Array | Int32Array>(handle: Tensor, into: T): Promise<T> {
    this.#open();
    const tensor = this.resolve(handle);
    checkValues("read", tensor, into);
    checkRange("read", tensor, 0, into.length, tensor.size);
    if (tensor.state === "arranging" || tensor.state === "arranged") {
      throw new KernelError("InvalidArgument", `Cannot read a rearranged weight: ${tensor.label}`);
    }
    const bytes = new Uint8Array(into.buffer, into.byteOffset, into.byteLength);
    const offset = this.#last?.held(tensor, bytes.length)?.offset ??
      await this.#fetch(tensor, bytes.length);
    bytes.set(this.#readback.bytes(offset, bytes.length));
    return into;
  }

  record(
    label: string,
    build: (recorder: Recorder) => void,
    { outputs = [] }: RecordOptions = {},
  ): Program {
    this.#open();
    const recorder = new DeviceRecorder(this);
    build(recorder);
    const { dispatches, weights, length, capacity } = recorder;
    return this.#program({
      label,
      length,
      capacity,
      dispatches: fuseRotations(fuseNorms(dispatches)),
      weights,
      outputs: outputs.map(this.resolve),
    });
  }

  async run(handle: Program, counts: Counts): Promise<void> {
    this.#open();
    const program = own(handle, this, DeviceProgram);
    for (const rows of ["tokens", "samples"] as const) checkCount(program, rows, counts[rows]);
    const { faults } = this.#gpu;
    await this.#arrange(program);
    const staging = await this.#readback.reserve(program.outputBytes);
    await faults.check();
    this.#last = undefined;
    const bytes = this.#submit(program, counts, staging);
    if (bytes > 0) await this.#wait(bytes, () => program.prepare(staging));
    else await faults.check();
    this.#last = program;
  }

  async profile(handle: Program, counts: Counts): Promise<DispatchProfile[]> {
    await this.run(handle, counts);
    return await profile(this.#gpu, own(handle, this, DeviceProgram), counts);
  }

  close(): void {
    this.#closed = true;
    this.#memory.close();
    this.#readback.close();
    this.#uniform.destroy();
  }

  readonly resolve = (handle: Tensor): DeviceTensor => own(handle, this, DeviceTensor);

  cache(handle: KvCache): DeviceKvCache {
    return own(handle, this, DeviceKvCache);
  }

  scratch(name: string, bytes: number): GPUBuffer {
    return this.#memory.scratch(name, bytes);
  }

  #program(parts: ProgramParts): DeviceProgram {
    return new DeviceProgram(parts, this, this.#gpu, this.#uniform);
  }

  /** Arranges a program's weights as products want them; what was not sealed is sealed by its first use. */
  async #arrange(program: DeviceProgram): Promise<void> {
    const weights = program.unarranged;
    if (weights.length === 0) return;
    for (const weight of weights) this.#startArranging(weight);
    await this.#gpu.faults.check();
    for (const weight of weights) if (weight.state === "arranging") weight.state = "arranged";
    program.unarranged = [];
  }

  #startArranging(tensor: DeviceTensor): void {
    if (tensor.state === "arranged") return;
    if (tensor.state === "arranging") {
      throw new KernelError("Unsupported", `Cannot use a weight half arranged: ${tensor.label}`);
    }
    this.seal(tensor);
    const dispatches = planSeal(this, tensor);
    if (dispatches.length === 0) return;
    tensor.state = "arranging";
    const counts = { tokens: 0, samples: 0 };
    const label = `arrange ${tensor.label}`;
    this.#submit(this.#program({ label, length: 0, capacity: counts, dispatches }), counts);
  }

  /** One command buffer: a program, and the copies of its outputs; how many bytes are copied. */
  #submit(program: DeviceProgram, counts: Counts, staging?: GPUBuffer): number {
    const { device, counters } = this;
    this.#counts[0] = counts.tokens;
    this.#counts[1] = counts.samples;
    return this.#gpu.faults.guard(`run ${program.label}`, () => {
      device.queue.writeBuffer(this.#uniform, 0, this.#counts);
      const { commands, dispatches, bytes } = program.encode(counts, staging);
      device.queue.submit([commands]);
      counters.submits++;
      counters.dispatches += dispatches;
      return bytes;
    });
  }

  /** Waits for what was submitted; `meanwhile` is done while the device computes. */
  async #wait(bytes: number, meanwhile: () => void = () => {}): Promise<void> {
    const started = performance.now();
    const { faults } = this.#gpu;
    faults.guard("encode ahead", meanwhile);
    await faults.check();
    await this.#readback.fetch(bytes);
    this.counters.readbacks++;
    this.counters.waitMs += performance.now() - started;
  }

  /** Brings what no run brought along; where it begins. */
  async #fetch(tensor: DeviceTensor, bytes: number): Promise<number> {
    const { faults } = this.#gpu;
    this.#last = undefined;
    const staging = await this.#readback.reserve(bytes);
    await faults.check();
    faults.guard(`read ${tensor.label}`, () => {
      const encoder = this.device.createCommandEncoder();
      for (const { buffer, at, offset, length } of tensor.pieces(0, bytes)) {
        encoder.copyBufferToBuffer(buffer, at, staging, offset, length);
      }
      this.device.queue.submit([encoder.finish()]);
    });
    this.counters.submits++;
    await this.#wait(bytes);
    return 0;
  }

  #writable(handle: Tensor, action: string): DeviceTensor {
    this.#open();
    const tensor = this.resolve(handle);
    if (tensor.state === "open") return tensor;
    throw new KernelError("InvalidArgument", `Cannot ${action} a sealed weight: ${tensor.label}`);
  }

  #open(): void {
    if (this.#closed) throw new KernelError("Closed", "Cannot use the backend: closed");
    this.#gpu.faults.checkLost();
  }
}

function own<T extends { readonly owner: object }>(
  handle: object,
  owner: object,
  // deno-lint-ignore no-explicit-any -- any constructor of T will do
  type: new (...args: any[]) => T,
): T {
  if (handle instanceof type && handle.owner === owner) return handle;
  throw new KernelError("InvalidArgument", `Cannot use a handle of another backend: ${handle}`);
}

function checkCount(program: DeviceProgram, rows: Rows, count: number): void {
  if (Number.isInteger(count) && count >= 0 && count <= program.capacity[rows]) return;
  throw new KernelError(
    "InvalidArgument",
    `Cannot run ${program.label} with ${rows}, capacity ${program.capacity[rows]}: ${count}`,
  );
}

function checkValues(action: string, tensor: Tensor, values: Float32Array | Int32Array): void {
  if (tensor.dtype === (values instanceof Float32Array ? "f32" : "i32")) return;
  throw new KernelError(
    "InvalidArgument",
    `Cannot ${action} ${tensor.label} of ${tensor.dtype}: ${values.constructor.name}`,
  );
}

function checkRange(
  action: string,
  tensor: Tensor,
  offset: number,
  length: number,
  limit: number,
): void {
  const valid = Number.isSafeInteger(offset) && Number.isSafeInteger(length);
  if (valid && offset >= 0 && length >= 0 && offset + length <= limit) return;
  throw new KernelError(
    "InvalidArgument",
    `Cannot ${action} ${tensor.label} beyond ${limit}: ${offset} + ${length}`,
  );
}
