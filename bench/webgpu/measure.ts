/** Measures the steps of one model on a GPU. */
import {
  createWebGpuBackend,
  type DispatchProfile,
  type Gpu,
  type GpuSpeed,
  type WebGpuBackend,
} from "../../kernels/mod.ts";
import { median } from "../harness.ts";
import { dispatchesPerLayer, type KernelRow, kernelRows, rounded } from "./kernel_rows.ts";
import type { GpuModel } from "./models.ts";
import type { GpuBenchOptions, Phase } from "./options.ts";
import { probed, type Run } from "./probe.ts";
import { Subject } from "./subject.ts";

const SINGLE = 1;

/** One kind of step of one model; what was not measured is absent. */
export interface StepRow extends Partial<HostSide & DeviceSide> {
  readonly model: string;
  readonly dtype: string;
  readonly phase: string;
  readonly rows: number;
  readonly error?: string;
}

/** What the host sees of one step. */
interface HostSide {
  readonly tokens_per_second: number;
  /** Of one step, the median. */
  readonly ms: number;
  /** Host time of one step, waiting for the device aside. */
  readonly host_us: number;
  readonly submits: number;
  readonly readbacks: number;
  readonly dispatches: number;
}

/** What timestamps tell of one step. The rates are those of the whole step, host time included. */
interface DeviceSide {
  /** Time of all kernels, each timed alone. */
  readonly device_us: number;
  readonly dispatches_per_layer: number;
  readonly gb_s: number;
  readonly gflop_s: number;
  readonly copy_fraction: number;
  readonly peak_fraction: number;
  readonly kernels: readonly KernelRow[];
}

/** What is measured on. */
export interface Bench {
  readonly gpu: Gpu;
  readonly speed: GpuSpeed;
  readonly options: GpuBenchOptions;
  /** Told of every row at once. */
  readonly report: (row: StepRow) => void;
}

/** Loads a model and measures every phase; what fails becomes rows that say why. */
export async function measureModel(model: GpuModel, bench: Bench): Promise<void> {
  const backend = createWebGpuBackend({ gpu: bench.gpu });
  try {
    const probe = probed(backend);
    const subject = new Subject(probe.backend, model);
    for (const phase of bench.options.phases) {
      bench.report(
        await measure(model, phase, subject, probe.last, bench)
          .catch((error) => failed(model, phase, error)),
      );
    }
  } catch (error) {
    for (const phase of bench.options.phases) bench.report(failed(model, phase, error));
  } finally {
    backend.close();
  }
}

async function measure(
  model: GpuModel,
  phase: Phase,
  subject: Subject,
  last: () => Run,
  { gpu, speed, options }: Bench,
): Promise<StepRow> {
  const backend = subject.backend as WebGpuBackend;
  const step = await prepare(subject, phase, options.context);
  for (let i = 0; i < 3; i++) await step(i);
  const before = { ...backend.counters };
  const times: number[] = [];
  const started = performance.now();
  for (let i = 0; i < options.steps; i++) {
    const start = performance.now();
    await step(3 + i);
    times.push(performance.now() - start);
  }
  const elapsed = performance.now() - started;
  const per = (name: keyof typeof before) =>
    (backend.counters[name] - before[name]) / options.steps;
  const [submits, readbacks] = [per("submits"), per("readbacks")];
  if (submits !== SINGLE || readbacks !== SINGLE) {
    throw new Error(`Expected one submit and one readback a step: ${submits}, ${readbacks}`);
  }
  const ms = median(times)!;
  return {
    ...keysOf(model, phase),
    tokens_per_second: rounded(phase.rows / ms * 1000),
    ms: rounded(ms, 3),
    host_us: rounded((elapsed / options.steps - per("waitMs")) * 1000),
    submits,
    readbacks,
    dispatches: per("dispatches"),
    ...(gpu.timestamps && deviceSide(await profile(backend, last()), model, ms, speed)),
  };
}

function profile(backend: WebGpuBackend, { program, counts }: Run): Promise<DispatchProfile[]> {
  return backend.profile(program, counts);
}

function deviceSide(
  profiles: readonly DispatchProfile[],
  { shape }: GpuModel,
  ms: number,
  speed: GpuSpeed,
): DeviceSide {
  const total = (of: (profile: DispatchProfile) => number) =>
    profiles.reduce((sum, profile) => sum + of(profile), 0);
  const [bytes, flops] = [total((p) => p.bytes), total((p) => p.flops)];
  return {
    device_us: rounded(total((p) => p.nanoseconds) / 1000),
    dispatches_per_layer: dispatchesPerLayer(profiles, shape.layers),
    gb_s: rounded(bytes / ms / 1e6),
    gflop_s: rounded(flops / ms / 1e6),
    copy_fraction: rounded(bytes / ms * 1000 / speed.copyBytesPerSecond, 3),
    peak_fraction: rounded(flops / ms * 1000 / speed.flopsPerSecond, 3),
    kernels: kernelRows(profiles, speed),
  };
}

/** Brings the sequences to their context; then one step each call. */
async function prepare(
  subject: Subject,
  { name, rows }: Phase,
  context: number,
): Promise<(i: number) => Promise<unknown>> {
  if (name === "prefill") return () => subject.prefill(0, 0, rows);
  for (let sequence = 0; sequence < rows; sequence++) await subject.prefill(sequence, 0, context);
  return (i) => subject.decode(rows, context + i);
}

function keysOf({ shape, dtype }: GpuModel, { name, rows }: Phase) {
  return { model: shape.name, dtype, phase: name, rows };
}

function failed(model: GpuModel, phase: Phase, error: unknown): StepRow {
  return { ...keysOf(model, phase), error: String(error) };
}
