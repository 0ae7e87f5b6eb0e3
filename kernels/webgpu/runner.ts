/** Submits programs and brings results back. */
import type { Counts } from "../backend.ts";
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

/** One submit and one wait a run, whose outputs stay readable until the next. */
export class Runner {
  readonly counters: WebGpuCounters = { submits: 0, readbacks: 0, dispatches: 0, waitMs: 0 };
  /** Binding 0 of all kernels: what differs from run to run. */
  readonly uniform: GPUBuffer;
  readonly #gpu: OpenGpu;
  readonly #readback: Readback;
  readonly #counts = new Uint32Array(2);
  /** Whose outputs the readback holds. */
  #last: DeviceProgram | undefined;

  constructor(gpu: OpenGpu, memory: Memory) {
    const usage = GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST;
    this.#gpu = gpu;
    this.#readback = new Readback(gpu, memory);
    this.uniform = gpu.device.createBuffer({ label: "step", size: 16, usage });
  }

  /** Runs a program and waits for its outputs, if it has any. */
  async run(program: DeviceProgram, counts: Counts): Promise<void> {
    const { faults } = this.#gpu;
    const staging = await this.#readback.reserve(program.outputBytes);
    await faults.check();
    this.#last = undefined;
    const bytes = this.submit(program, counts, staging);
    if (bytes > 0) await this.#wait(bytes, () => program.prepare(staging));
    else await faults.check();
    this.#last = program;
  }

  /** Submits a program with the copies of its outputs to `staging`; how many bytes are copied. */
  submit(program: DeviceProgram, counts: Counts, staging?: GPUBuffer): number {
    const { queue } = this.#gpu.device;
    this.#counts[0] = counts.tokens;
    this.#counts[1] = counts.samples;
    return this.#gpu.faults.guard(`run ${program.label}`, () => {
      queue.writeBuffer(this.uniform, 0, this.#counts);
      const { commands, dispatches, bytes } = program.encode(counts, staging);
      queue.submit([commands]);
      this.counters.submits++;
      this.counters.dispatches += dispatches;
      return bytes;
    });
  }

  /** The first bytes of a tensor, valid until the next call: as the last run left them, or fetched now. */
  async read(tensor: DeviceTensor, bytes: number): Promise<Uint8Array> {
    const held = this.#last?.held(tensor, bytes);
    if (!held) await this.#fetch(tensor, bytes);
    return this.#readback.bytes(held?.offset ?? 0, bytes);
  }

  /** Says that a tensor was written since the last run. */
  forget(tensor: DeviceTensor): void {
    this.#last?.forget(tensor);
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
