import { createSystem } from "../../runtime/mod.ts";
import { median } from "../harness.ts";
import type { CounterProtocol } from "./counter.ts";

/** Figures of the way to a Worker thread and back, in microseconds. */
export interface ThreadFigures {
  readonly askUs: number | null;
  readonly tensor1MibUs: number | null;
}

/** Times round trips to a Worker thread: medians, one at a time, after a check of the answers. */
export async function benchThread(asks: number, tensors: number): Promise<ThreadFigures> {
  const system = createSystem({ node: "bench" });
  const url = new URL("./thread.ts", import.meta.url);
  system.attachThread("worker", new Worker(url, { type: "module" }));
  try {
    const counter = await system.spawnOn<CounterProtocol>("worker", "counter", undefined);
    const askUs = await times(asks, () => counter.ask("add", 1));
    const done = await counter.ask("total");
    if (done !== asks + warmUps) {
      throw new Error(`Expected ${asks + warmUps} asks handled: ${done}`);
    }
    let data = Float32Array.from({ length: 1 << 18 }, (_, i) => i);
    const tensorUs = await times(tensors, async () => {
      const tensor = { dtype: "f32", shape: [1 << 18], data } as const;
      const back = await counter.ask("echo", tensor, { transfer: [data.buffer] });
      data = back.data as Float32Array<ArrayBuffer>;
    });
    if (data[12_345] !== 12_345) throw new Error(`Expected the tensor back: ${data[12_345]}`);
    return { askUs: median(askUs), tensor1MibUs: median(tensorUs) };
  } finally {
    await system.shutdown();
  }
}

const warmUps = 100;

async function times(count: number, work: () => Promise<unknown>): Promise<number[]> {
  for (let n = 0; n < warmUps; n++) await work();
  const samples: number[] = [];
  for (let n = 0; n < count; n++) {
    const start = performance.now();
    await work();
    samples.push((performance.now() - start) * 1000);
  }
  return samples;
}
