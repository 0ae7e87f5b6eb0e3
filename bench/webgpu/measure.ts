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

/** Most dispatches of a layer: they wait for each other. */
const DISPATCHES = { dense: 8, mixture: 12 } as const;
/** After so long no further step is timed, if there were a few. */
const LONG_MS = 1500;
const FEW = 3;
const WARM_UP_MS = 700;

/** One kind of step of one model; what was not measured is absent. */
export interface StepRow extends Partial<HostSide & DeviceSide> {
  readonly model: string;
  readonly dtype: string;
  readonly phase: string;
  readonly rows: number;
  /** Steps that were asked for in one; absent = each by itself. */
  readonly rounds?: number;
  readonly error?: string;
}

/** What the host sees of one step. */
interface HostSide {
  readonly tokens_per_second: number;
  /** Of one step, the median; of rounds in a row, an even share. */
  readonly ms: number;
  /** Host time of one step, waiting for the device aside; in rounds, most passes while the device computes. */
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
  const step = stepOf(subject, phase, options.context);
  await warmUp(step, gpu);
  const before = { ...backend.counters };
  const times: number[] = [];
  const started = performance.now();
  const { rounds = 1 } = phase;
  for (let i = 0; i < options.steps && (i < FEW || performance.now() < started + LONG_MS); i++) {
    const start = performance.now();
    await step(FEW + i * rounds);
    times.push((performance.now() - start) / rounds);
  }
  const elapsed = performance.now() - started;
  const steps = times.length * rounds;
  const per = (name: keyof typeof before) => (backend.counters[name] - before[name]) / steps;
  const [submits, readbacks] = [per("submits"), per("readbacks")];
  if (submits !== 1 || readbacks !== 1 / rounds) {
    throw new Error(`Expected one submit a step and one readback a wait: ${submits}, ${readbacks}`);
  }
  const ms = median(times)!;
  return {
    ...keysOf(model, phase),
    tokens_per_second: rounded(phase.rows / ms * 1000),
    ms: rounded(ms, 3),
    ...(rounds === 1 && { host_us: rounded((elapsed / steps - per("waitMs")) * 1000) }),
    submits,
    readbacks,
    dispatches: per("dispatches"),
    ...(gpu.timestamps && rounds === 1 &&
      deviceSide(await profile(backend, last()), model, ms, speed)),
  };
}

/** Steps until an adapter that saved energy while the model was made has raised its clocks. */
async function warmUp(step: (i: number) => Promise<unknown>, { info }: Gpu): Promise<void> {
  const end = performance.now() + (info.software ? 0 : WARM_UP_MS);
  for (let i = 0; i < FEW || performance.now() < end; i++) await step(i % FEW);
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
  const perLayer = dispatchesPerLayer(profiles, shape.layers);
  const most = shape.experts ? DISPATCHES.mixture : DISPATCHES.dense;
  if (perLayer > most) throw new Error(`Expected at most ${most} dispatches a layer: ${perLayer}`);
  return {
    device_us: rounded(total((p) => p.nanoseconds) / 1000),
    dispatches_per_layer: perLayer,
    gb_s: rounded(bytes / ms / 1e6),
    gflop_s: rounded(flops / ms / 1e6),
    copy_fraction: rounded(bytes / ms * 1000 / speed.copyBytesPerSecond, 3),
    peak_fraction: rounded(flops / ms * 1000 / speed.flopsPerSecond, 3),
    kernels: kernelRows(profiles, speed),
  };
}

/** One step each call. What decodes see are zeros, which take as long to read as any numbers. */
function stepOf(
  subject: Subject,
  { name, rows, rounds }: Phase,
  context: number,
): (i: number) => Promise<unknown> {
  if (name === "prefill") return () => subject.prefill(0, 0, rows);
  return (i) => subject.decode(rows, context + i, rounds);
}

function keysOf({ shape, dtype }: GpuModel, { name, rows, rounds }: Phase) {
  return { model: shape.name, dtype, phase: name, rows, ...(rounds !== undefined && { rounds }) };
}

function failed(model: GpuModel, phase: Phase, error: unknown): StepRow {
  return { ...keysOf(model, phase), error: String(error) };
}
