/** Finds the constants of the matrix kernels that suit one adapter, by measuring. */
import type { WeightDType } from "../backend.ts";
import { KernelError } from "../errors.ts";
import { createWebGpuBackend, type WebGpuBackend } from "./backend.ts";
import type { Gpu } from "./gpu.ts";
import { tuningOf } from "./plans/mod.ts";
import { type Tuning, type TuningStep, tuningSteps, type TuningWorkload } from "./tuning_steps.ts";

/** Where constants are kept from one start to the next. */
export interface TuningCache {
  /** What {@link set} was given for an adapter, if it is known; it is checked before it is used. */
  get(adapter: string): Promise<unknown>;
  /** Keeps them. */
  set(adapter: string, tuning: Tuning): Promise<void>;
}

/** What was measured of one candidate. */
export interface TuningTrial {
  /** The workload. */
  readonly workload: string;
  /** The constants under trial. */
  readonly tuning: Tuning;
  /** Geometric mean of the device times of its products. */
  readonly seconds: number;
}

/** Options of {@link tuneGpu}. */
export interface TuneOptions {
  /** Where constants are kept; by default they are measured each time. */
  readonly cache?: TuningCache;
  /** Called before anything is measured. */
  readonly begin?: (adapter: string) => void;
  /** Hears each measurement. */
  readonly report?: (trial: TuningTrial) => void;
}

/** A change of the kernels makes what was measured before worthless. */
const VERSION = 4;
const RUNS = 3;

/** How much faster another candidate must be than the one before: less may be chance. */
const LEAST_GAIN = 0.08;

/**
 * The constants for an adapter: from the cache, or measured within about half a minute. Adapters that cannot time
 * their passes, or compute on the CPU, keep the constants that are built in; so does what cannot be measured. Throws
 * `DeviceLost`.
 */
export async function tuneGpu(
  gpu: Gpu,
  { cache, begin, report }: TuneOptions = {},
): Promise<Tuning> {
  const start = tuningOf(gpu.info);
  if (gpu.info.software || !gpu.timestamps) return start;
  const adapter = `${gpu.info.description}, ${gpu.info.provider}, ${VERSION}`;
  const known = await cache?.get(adapter);
  if (couldBeFound(known, start, tuningSteps)) return known;
  begin?.(adapter);
  let isMeasured = false;
  const tuning = await search(start, tuningSteps, async (workload, candidate) => {
    const seconds = await measure(gpu, workload, candidate).catch(ifPossible);
    isMeasured ||= seconds < Infinity;
    report?.({ workload: workload.name, tuning: candidate, seconds });
    return seconds;
  });
  if (!isMeasured) return start;
  await cache?.set(adapter, tuning);
  return tuning;
}

/** A candidate that an adapter has no room for, or cannot compile, takes forever. */
function ifPossible(error: unknown): number {
  if (error instanceof KernelError && error.code !== "DeviceLost") return Infinity;
  throw error;
}

/** Whether a search could end there: whoever wrote it, kernels get no constants that nobody thought of. */
export function couldBeFound(
  tuning: unknown,
  start: Tuning,
  steps: readonly TuningStep[],
): tuning is Tuning {
  if (typeof tuning !== "object" || tuning === null || Array.isArray(tuning)) return false;
  const all = [start, ...steps.flatMap(({ candidates }) => candidates)];
  const entries = Object.entries(tuning);
  return entries.length === new Set(all.flatMap(Object.keys)).size &&
    entries.every(([name, value]) =>
      all.some((known) => Object.hasOwn(known, name) && known[name] === value)
    );
}

/** Takes the fastest candidate of each step, on top of those of the steps before; of equal ones the first. */
export async function search(
  start: Tuning,
  steps: readonly TuningStep[],
  measure: (workload: TuningWorkload, tuning: Tuning) => Promise<number>,
): Promise<Tuning> {
  let best = start;
  for (const { workload, candidates } of steps) {
    let fastest = Infinity;
    const base = best;
    for (const candidate of candidates) {
      const tuning = { ...base, ...candidate };
      const seconds = await measure(workload, tuning);
      if (seconds < fastest * (1 - LEAST_GAIN)) [fastest, best] = [seconds, tuning];
    }
  }
  return best;
}

/** The geometric mean of the seconds that the products of a workload take. */
export async function measure(
  gpu: Gpu,
  { rows, dtypes, shapes, copies }: TuningWorkload,
  tuning: Tuning,
): Promise<number> {
  let logs = 0;
  for (const dtype of dtypes) {
    for (const shape of shapes) {
      const backend = createWebGpuBackend({ gpu, tuning });
      try {
        logs += Math.log(await measureProducts(backend, dtype, shape, rows, copies));
      } finally {
        backend.close();
      }
    }
  }
  return Math.exp(logs / (dtypes.length * shapes.length));
}

/** Median seconds of a product; the weights are zeros, which take as long as others. */
async function measureProducts(
  backend: WebGpuBackend,
  dtype: WeightDType,
  [n, k]: readonly [number, number],
  rows: number,
  copies: number,
): Promise<number> {
  const activation = (width: number) =>
    backend.tensor({ label: "rows", dtype: "f32", shape: [rows, width], rows: "tokens" });
  const [x, out] = [activation(k), activation(n)];
  const weights = Array.from(
    { length: copies },
    (_, i) => backend.tensor({ label: `weight ${i}`, dtype, shape: [n, k] }),
  );
  const program = backend.record("products", (r) => {
    for (const weight of weights) r.linear(out, x, weight);
  });
  const counts = { tokens: rows, samples: 0 };
  const seconds: number[] = [];
  for (let run = 0; run < RUNS; run++) {
    const dispatches = await backend.profile(program, counts);
    seconds.push(...dispatches.map(({ nanoseconds }) => nanoseconds / 1e9));
  }
  return seconds.sort((a, b) => a - b)[seconds.length >> 1]!;
}
