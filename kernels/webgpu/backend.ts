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
  Tensor,
  TensorSpec,
} from "../backend.ts";
import { KernelError } from "../errors.ts";
import { checkCounts, checkRange, checkValues, own } from "../handle_checks.ts";
import type { PlanContext } from "./dispatch.ts";
import { fuseNorms, fuseRotations } from "./fuse.ts";
import { type Gpu, opened, type OpenGpu } from "./gpu.ts";
import { Budget, Memory } from "./memory.ts";
import { planSeal, tuningOf } from "./plans/mod.ts";
import { type DispatchProfile, profile } from "./profile.ts";
import { DeviceProgram, type ProgramParts } from "./program.ts";
import { type Arena, DeviceRecorder } from "./recorder.ts";
import { Runner, type WebGpuCounters } from "./runner.ts";
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

/** Makes a backend with its own budget of memory. Throws `DeviceLost` on a GPU that is gone. */
export function createWebGpuBackend(options: WebGpuBackendOptions): WebGpuBackend {
  const maxBytes = options.maxBytes ?? Number.MAX_SAFE_INTEGER;
  if (!(maxBytes > 0)) {
    throw new KernelError("InvalidArgument", `Cannot make a backend with maxBytes: ${maxBytes}`);
  }
  const gpu = opened(options.gpu);
  gpu.faults.checkLost();
  return new DeviceBackend(gpu, maxBytes, options.tuning);
}

class DeviceBackend implements WebGpuBackend, Arena {
  readonly name = "webgpu";
  readonly device: GPUDevice;
  readonly subgroups: boolean;
  readonly f16: boolean;
  readonly tuning: PlanContext["tuning"];
  readonly #gpu: OpenGpu;
  readonly #memory: Memory;
  readonly #upload: Upload;
  readonly #runner: Runner;
  #closed = false;

  constructor(gpu: OpenGpu, maxBytes: number, tuning: PlanContext["tuning"] = {}) {
    const { device, faults, subgroups, f16 } = gpu;
    this.#gpu = gpu;
    this.device = device;
    this.subgroups = subgroups;
    this.f16 = f16;
    this.tuning = { ...tuningOf(gpu.info), ...tuning };
    this.#memory = new Memory(device, faults, new Budget(maxBytes, gpu.budget));
    this.#upload = new Upload(device.queue, faults);
    this.#runner = new Runner(gpu, this.#memory);
  }

  get counters(): Readonly<WebGpuCounters> {
    return this.#runner.counters;
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
    this.#runner.forget(tensor);
  }

  async read<T extends Float32Array | Int32Array>(
    handle: Tensor,
    into: T,
    run?: number,
  ): Promise<T> {
    this.#open();
    const tensor = this.resolve(handle);
    checkValues("read", tensor, into);
    checkRange("read", tensor, 0, into.length, tensor.size);
    if (tensor.state !== "open" && tensor.state !== "sealed") {
      throw new KernelError("InvalidArgument", `Cannot read a rearranged weight: ${tensor.label}`);
    }
    const bytes = new Uint8Array(into.buffer, into.byteOffset, into.byteLength);
    bytes.set(await this.#runner.read(tensor, bytes.length, run));
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
    // The device arranges what is complete while kernels are compiled, so that the first run need not wait for it.
    for (const weight of weights) if (weight.state === "sealed") this.#startArranging(weight);
    return this.#program({
      label,
      length,
      capacity,
      dispatches: fuseRotations(fuseNorms(dispatches)),
      weights,
      outputs: outputs.map(this.resolve),
    });
  }

  run(handle: Program, counts: Counts): Promise<void> {
    return this.runInRow(handle, [counts], () => {});
  }

  async runInRow(
    handle: Program,
    counts: readonly Counts[],
    before: (run: number) => void,
  ): Promise<void> {
    this.#open();
    const program = own(handle, this, DeviceProgram);
    for (const each of counts) checkCounts(program, each);
    await this.#arrange(program);
    await this.#runner.run(program, counts, before);
  }

  async profile(handle: Program, counts: Counts): Promise<DispatchProfile[]> {
    await this.run(handle, counts);
    return await profile(this.#gpu, own(handle, this, DeviceProgram), counts);
  }

  close(): void {
    this.#closed = true;
    this.#memory.close();
    this.#runner.close();
  }

  readonly resolve = (handle: Tensor): DeviceTensor => own(handle, this, DeviceTensor);

  cache(handle: KvCache): DeviceKvCache {
    return own(handle, this, DeviceKvCache);
  }

  scratch(name: string, bytes: number): GPUBuffer {
    return this.#memory.scratch(name, bytes);
  }

  #program(parts: ProgramParts): DeviceProgram {
    return new DeviceProgram(parts, this, this.#gpu, this.#runner.uniform);
  }

  /** Arranges a program's weights as products want them; what was not sealed is sealed by its first use. */
  async #arrange(program: DeviceProgram): Promise<void> {
    const weights = program.unarranged;
    if (weights.length === 0) return;
    for (const weight of weights) this.#startArranging(weight);
    const settle = (state: "arranged" | "broken") => {
      for (const weight of weights) if (weight.state === "arranging") weight.state = state;
    };
    await this.#gpu.faults.check().catch((error) => {
      settle("broken");
      throw error;
    });
    settle("arranged");
    program.unarranged = [];
  }

  #startArranging(tensor: DeviceTensor): void {
    if (tensor.state === "arranging" || tensor.state === "arranged") return;
    if (tensor.state === "broken") {
      throw new KernelError("Unsupported", `Cannot use a weight half arranged: ${tensor.label}`);
    }
    this.seal(tensor);
    const dispatches = planSeal(this, tensor);
    if (dispatches.length === 0) return;
    tensor.state = "arranging";
    const counts = { tokens: 0, samples: 0 };
    const label = `arrange ${tensor.label}`;
    this.#runner.submit(this.#program({ label, length: 0, capacity: counts, dispatches }), counts);
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
