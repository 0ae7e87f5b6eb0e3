import { type Device, openDevice } from "../../kernels/mod.ts";
import type { Bench, BenchOptions, BenchReport } from "../harness.ts";
import { type MachineRates, measureMachine } from "../plain/mod.ts";
import { checkWorkload } from "./check.ts";
import { type KernelOptions, kernelOptions } from "./options.ts";
import { timeRun } from "./timing.ts";
import type { Workload } from "./workload.ts";

/** Every kernel of the CPU backend at model shapes, beside what the machine can do. */
export const bench: Bench = {
  name: "kernels",
  description: "GB/s and GFLOP/s of every kernel, as shares of the machine's bandwidth and peak",
  run,
};

/** One kernel at one row count; `null` where it does not run. */
interface KernelRow {
  readonly kernel: string;
  readonly dtype: string;
  readonly shape: string;
  readonly rows: number;
  /** Microseconds of one operation. */
  readonly us: number | null;
  readonly us_best: number | null;
  /** Of the median. */
  readonly gb_s: number | null;
  readonly gflop_s: number | null;
  readonly bandwidth_fraction: number | null;
  /** Of the peak of float32; kernels on bytes may pass it. */
  readonly peak_fraction: number | null;
  readonly error?: string;
}

const memoryBytes = 2 ** 31;

async function run(options: BenchOptions): Promise<BenchReport> {
  const chosen = kernelOptions(options);
  options.log("Measuring bandwidth and peak of this machine");
  const machine = await measureMachine({ threads: chosen.threads });
  const cpu = await openDevice("cpu", chosen.threads);
  const rows: KernelRow[] = [];
  for (const workload of chosen.workloads) {
    options.log(`${workload.kernel} ${workload.dtype} ${workload.shape}`);
    rows.push(...await measure(workload, cpu, machine, chosen));
  }
  cpu.close();
  return {
    table: [header, ...rows.map(cells)],
    json: {
      rows,
      read_bandwidth_gbs: rounded(machine.readBandwidth),
      peak_gflop_s: rounded(machine.peakFlops),
      threads: chosen.threads,
    },
  };
}

/** Checks a workload, then times it. What a backend does not run yet becomes rows that say why. */
async function measure(
  workload: Workload,
  cpu: Device,
  machine: MachineRates,
  options: KernelOptions,
): Promise<KernelRow[]> {
  try {
    await check(workload, cpu);
    return await time(workload, cpu, machine, options);
  } catch (error) {
    const unmeasured = {
      ...{ us: null, us_best: null, gb_s: null, gflop_s: null },
      ...{ bandwidth_fraction: null, peak_fraction: null, error: String(error) },
    };
    return workload.rows.map((rows) => ({ ...keysOf(workload), rows, ...unmeasured }));
  }
}

async function check(workload: Workload, cpu: Device): Promise<void> {
  const backend = await cpu.createBackend(memoryBytes);
  const plain = await openDevice("reference", 1);
  const reference = await plain.createBackend(memoryBytes);
  try {
    await checkWorkload(workload, backend, reference);
  } finally {
    backend.close();
    reference.close();
  }
}

async function time(
  workload: Workload,
  cpu: Device,
  machine: MachineRates,
  { size, timing }: KernelOptions,
): Promise<KernelRow[]> {
  const backend = await cpu.createBackend(memoryBytes);
  try {
    const { at } = await workload.prepare(backend, size);
    const rows: KernelRow[] = [];
    for (const count of workload.rows) {
      const run = at(count);
      const { median, best } = await timeRun(backend, run, timing);
      const gigabytes = run.bytes / median / 1e3;
      const gigaflop = run.flop / median / 1e3;
      rows.push({
        ...{ ...keysOf(workload), rows: count },
        us: rounded(median, 2),
        us_best: rounded(best, 2),
        gb_s: rounded(gigabytes, 2),
        gflop_s: rounded(gigaflop, 2),
        bandwidth_fraction: rounded(gigabytes / machine.readBandwidth, 3),
        peak_fraction: rounded(gigaflop / machine.peakFlops, 3),
      });
    }
    return rows;
  } finally {
    backend.close();
  }
}

function keysOf({ kernel, dtype, shape }: Workload) {
  return { kernel, dtype, shape };
}

const header = [
  ...["kernel", "dtype", "shape", "rows", "us", "best us", "GB/s", "GFLOP/s"],
  ...["of bandwidth", "of peak"],
];

function cells(row: KernelRow): string[] {
  const figures = [row.us, row.us_best, row.gb_s, row.gflop_s];
  const fractions = [row.bandwidth_fraction, row.peak_fraction];
  return [
    ...[row.kernel, row.dtype, row.shape, String(row.rows)],
    ...[...figures, ...fractions].map((value) => value === null ? "-" : String(value)),
    ...(row.error === undefined ? [] : [row.error]),
  ];
}

function rounded(value: number, digits = 1): number {
  return Number(value.toFixed(digits));
}
