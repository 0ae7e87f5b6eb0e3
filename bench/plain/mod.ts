/** What this machine can do at most from WebAssembly, measured by kernels with nothing in the way. */
import { compilePlain, stepBytes, stepFlop } from "./source.ts";

/** Rates of all threads together, each the best of some rounds. */
export interface MachineRates {
  /** GB/s of a streaming read over a range far larger than the caches of one core. */
  readonly readBandwidth: number;
  /** GFLOP/s of `relaxed_madd` on 4 lanes of float32, in registers. */
  readonly peakFlops: number;
}

/** How long and how much to measure. */
export interface MachineOptions {
  readonly threads: number;
  /** Bytes read in a round by all threads together; default 768 MB. */
  readonly bytes?: number;
  /** Rounds; default 8. */
  readonly rounds?: number;
}

/** What a thread is told. */
export interface PlainTask {
  readonly module: WebAssembly.Module;
  readonly memory: WebAssembly.Memory;
  readonly threads: number;
  readonly address: number;
  /** Where it puts sums. */
  readonly sink: number;
  readonly bytes: number;
  /** Of one step of `read`. */
  readonly stepBytes: number;
  readonly steps: number;
  readonly rounds: number;
}

/** Seconds of every round. */
interface Times {
  readonly read: readonly number[];
  readonly multiply: readonly number[];
}

const page = 65536;
const sinkBytes = 256;
const multiplySteps = 2_000_000;

/** Measures read bandwidth and the peak of float32 multiplications and additions. */
export async function measureMachine(options: MachineOptions): Promise<MachineRates> {
  const { threads, bytes = 768e6, rounds = 8 } = options;
  const share = Math.floor(bytes / threads / stepBytes) * stepBytes;
  const pages = Math.ceil(share * threads / page) + 1;
  const module = await compilePlain();
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
  const times = await Promise.all(
    Array.from({ length: threads }, (_, i) =>
      runThread({
        ...{ module, memory, threads, rounds, bytes: share, stepBytes, steps: multiplySteps },
        ...{ address: page + i * share, sink: sinkBytes * (i + 1) },
      })),
  );
  return {
    readBandwidth: threads * share / shortest(times.map(({ read }) => read)) / 1e9,
    peakFlops: threads * multiplySteps * stepFlop / shortest(times.map((t) => t.multiply)) / 1e9,
  };
}

/** A round takes as long as its slowest thread. */
function shortest(threads: readonly (readonly number[])[]): number {
  return Math.min(...threads[0]!.map((_, round) => Math.max(...threads.map((t) => t[round]!))));
}

async function runThread(task: PlainTask): Promise<Times> {
  const worker = new Worker(new URL("./worker.ts", import.meta.url), { type: "module" });
  try {
    return await new Promise((resolve, reject) => {
      worker.onmessage = ({ data }: MessageEvent<Times>) => resolve(data);
      worker.onerror = (event) =>
        reject(new Error(`Cannot measure this machine: ${event.message}`));
      worker.postMessage(task);
    });
  } finally {
    worker.terminate();
  }
}
