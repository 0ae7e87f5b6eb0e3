import type { Backend } from "../../kernels/mod.ts";
import { median } from "../harness.ts";
import type { Run } from "./workload.ts";

/** How long to measure. */
export interface TimingOptions {
  readonly rounds: number;
  /** Least length of a round. */
  readonly roundMs: number;
}

/** Microseconds of one operation. */
export interface OperationTime {
  readonly median: number;
  readonly best: number;
}

/** Times a program, after as long again to warm up: V8 compiles a kernel twice. */
export async function timeRun(
  backend: Backend,
  { program, counts, operations }: Run,
  { rounds, roundMs }: TimingOptions,
): Promise<OperationTime> {
  const round = async (): Promise<number> => {
    const start = performance.now();
    let runs = 0, elapsed = 0;
    do {
      await backend.run(program, counts);
      runs++;
      elapsed = performance.now() - start;
    } while (elapsed < roundMs);
    return elapsed * 1000 / runs / operations;
  };
  for (let i = 0; i < 2; i++) await round();
  const samples: number[] = [];
  for (let i = 0; i < rounds; i++) samples.push(await round());
  return { median: median(samples)!, best: Math.min(...samples) };
}
