/** One thread of the plain kernels. */
import type { PlainTask } from "./mod.ts";

interface Kernels {
  fill(address: number, bytes: number): void;
  read(address: number, bytes: number, sink: number): void;
  multiply(steps: number, factor: number, sink: number): void;
}

/** Steps of a call: short, as an optimised kernel replaces a slow one only between calls. */
const readSteps = 256, multiplySteps = 5_000;

self.onmessage = ({ data }: MessageEvent<PlainTask>) => {
  const { module, memory, threads, address, sink, bytes, stepBytes, steps, rounds } = data;
  const callBytes = readSteps * stepBytes;
  const { exports } = new WebAssembly.Instance(module, { env: { memory } });
  const kernels = exports as unknown as Kernels;
  kernels.fill(address, bytes);
  const arrived = new Int32Array(memory.buffer);
  let round = 0;
  const timed = (work: () => void) => {
    Atomics.add(arrived, 0, 1);
    const all = threads * ++round;
    while (Atomics.load(arrived, 0) < all);
    const start = performance.now();
    work();
    return (performance.now() - start) / 1000;
  };
  const times = (work: () => void) => Array.from({ length: rounds }, () => timed(work));
  self.postMessage({
    read: times(() => {
      for (let at = 0; at < bytes; at += callBytes) {
        kernels.read(address + at, Math.min(callBytes, bytes - at), sink);
      }
    }),
    multiply: times(() => {
      for (let done = 0; done < steps; done += multiplySteps) {
        kernels.multiply(multiplySteps, 0.5, sink);
      }
    }),
  });
};
