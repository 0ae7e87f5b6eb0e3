import { parseArgs } from "node:util";
import type { BenchOptions } from "../harness.ts";
import { attentions } from "./attention.ts";
import { matrices } from "./matrices.ts";
import { mixtures } from "./mixture.ts";
import { rowWise } from "./row_wise.ts";
import { samplings } from "./sampling.ts";
import type { TimingOptions } from "./timing.ts";
import type { Size, Workload } from "./workload.ts";

/** Everything that can be timed. */
export const workloads: readonly Workload[] = [
  ...matrices,
  ...mixtures,
  ...attentions,
  ...samplings,
  ...rowWise,
];

/** What to measure. */
export interface KernelOptions {
  readonly threads: number;
  readonly workloads: readonly Workload[];
  readonly timing: TimingOptions;
  readonly size: Size;
}

/** Reads `--threads N`, `--kernels NAME,...` and `--dtypes NAME,...`. Throws on anything else. */
export function kernelOptions({ args, quick }: BenchOptions): KernelOptions {
  const { values } = parseArgs({
    args: [...args],
    options: {
      threads: { type: "string", default: String(navigator.hardwareConcurrency) },
      kernels: { type: "string" },
      dtypes: { type: "string" },
    },
  });
  const threads = Number(values.threads);
  if (!Number.isInteger(threads) || threads < 1) {
    throw new Error(`Cannot use --threads, it takes a positive integer: ${values.threads}`);
  }
  const kernels = known("kernel", values.kernels);
  const dtypes = known("dtype", values.dtypes);
  return {
    threads,
    workloads: workloads.filter(({ kernel, dtype }) => kernels.has(kernel) && dtypes.has(dtype)),
    timing: quick ? { rounds: 2, roundMs: 5 } : { rounds: 5, roundMs: 40 },
    size: quick ? "quick" : "full",
  };
}

function known(what: "kernel" | "dtype", list: string | undefined): ReadonlySet<string> {
  const all = new Set(workloads.map((workload) => workload[what]));
  const chosen = list?.split(",") ?? [...all];
  for (const name of chosen) {
    if (!all.has(name)) {
      throw new Error(`Cannot time ${what} ${name}: known are ${[...all].join(", ")}`);
    }
  }
  return new Set(chosen);
}
