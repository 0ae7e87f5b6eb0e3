/** Submits programs and brings results back. */
import type { Counts } from "../backend.ts";
import { KernelError } from "../errors.ts";
import type { OpenGpu } from "./gpu.ts";
import type { Memory } from "./memory.ts";
import type { DeviceProgram } from "./program.ts";
import { Readback } from "./readback.ts";
import type { DeviceTensor } from "./tensor.ts";

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

/** The runs whose outputs the readback holds. */
interface HeldRuns {
  readonly program: DeviceProgram;
  readonly count: number;
  /** Bytes of the outputs of each. */
  readonly bytes: number;
}

/** One submit a run, and one wait for runs in a row, whose outputs stay readable until the next. */
export class Runner {
  readonly counters: WebGpuCounters = { submits: 0, readbacks: 0, dispatches: 0, waitMs: 0 };
  /** Binding 0 of all kernels: what differs from run to run. */
  readonly uniform: GPUBuffer;
  readonly #gpu: OpenGpu;
  readonly #readback: Readback;
  readonly #counts = new Uint32Array(2);
  #last: HeldRuns | undefined;

  constructor(gpu: OpenGpu, memory: Memory) {
    const usage = GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST;
    this.#gpu = gpu;
    this.#readback = new Readback(gpu, memory);
    this.uniform = gpu.device.createBuffer({ label: "step", size: 16, usage });
  }

  /** Runs a program once for each of `counts`, and waits for the outputs of all, if it has any. */
  async run(
    program: DeviceProgram,
    counts: readonly Counts[],
    before: (run: number) => void = () => {},
  ): Promise<void> {
    const { faults } = this.#gpu;
    const staging = await this.#readback.reserve(program.outputBytes * counts.length);
    await faults.check();
    this.#last = undefined;
    let bytes = 0;
    for (const [run, each] of counts.entries()) {
      if (run > 0) before(run);
      bytes += this.submit(program, each, staging, bytes);
    }
    if (bytes > 0) await this.#wait(bytes, () => program.prepare(staging));
    else await faults.check();
    this.#last = { program, count: counts.length, bytes: bytes / counts.length };
  }

  /** Submits a program with copies of its outputs to `staging` from byte `at` on; how many bytes are copied. */
  submit(program: DeviceProgram, counts: Counts, staging?: GPUBuffer, at = 0): number {
    const { queue } = this.#gpu.device;
    this.#counts[0] = counts.tokens;
    this.#counts[1] = counts.samples;
    return this.#gpu.faults.guard(`run ${program.label}`, () => {
      queue.writeBuffer(this.uniform, 0, this.#counts);
      const { commands, dispatches, bytes } = program.encode(counts, staging, at);
      queue.submit([commands]);
      this.counters.submits++;
      this.counters.dispatches += dispatches;
      return bytes;
    });
  }

  /**
   * The first bytes of a tensor, valid until the next call: as the last run left them, or that of `run` among runs in
   * a row, or fetched now.
   */
  async read(tensor: DeviceTensor, bytes: number, run?: number): Promise<Uint8Array> {
    const last = this.#last;
    const held = last?.program.held(tensor, bytes);
    if (last && held && (run ?? 0) < last.count) {
      return this.#readback.bytes((run ?? last.count - 1) * last.bytes + held.offset, bytes);
    }
    if (run !== undefined) {
      throw new KernelError("InvalidArgument", `Cannot read ${tensor.label} of a run: ${run}`);
    }
    await this.#fetch(tensor, bytes);
    return this.#readback.bytes(0, bytes);
  }

  /** Says that a tensor was written since the last run. */
  forget(tensor: DeviceTensor): void {
    this.#last?.program.forget(tensor);
  }

  close(): void {
    this.#readback.close();
    this.uniform.destroy();
  }

  async #fetch(tensor: DeviceTensor, bytes: number): Promise<void> {
    const { faults, device } = this.#gpu;
    this.#last = undefined;
    const staging = await this.#readback.reserve(bytes);
    await faults.check();
    faults.guard(`read ${tensor.label}`, () => {
      const encoder = device.createCommandEncoder();
      for (const { buffer, at, offset, length } of tensor.pieces(0, bytes)) {
        encoder.copyBufferToBuffer(buffer, at, staging, offset, length);
      }
      device.queue.submit([encoder.finish()]);
    });
    this.counters.submits++;
    await this.#wait(bytes);
  }

  /** Waits for what was submitted; `meanwhile` is done while the device computes. */
  async #wait(bytes: number, meanwhile: () => void = () => {}): Promise<void> {
    const { faults } = this.#gpu;
    const started = performance.now();
    faults.guard("encode ahead", meanwhile);
    await faults.check();
    await this.#readback.fetch(bytes);
    this.counters.readbacks++;
    this.counters.waitMs += performance.now() - started;
  }
}
