/** What an adapter reaches in plain WGSL: the yardsticks of kernels on it. */
import type { Binding, Defines } from "./dispatch.ts";
import { type Gpu, opened, type OpenGpu } from "./gpu.ts";
import { fold } from "./grid.ts";

/** Rates of one GPU, each the median of several runs. */
export interface GpuSpeed {
  /** Bytes read and written each second by a kernel that copies. */
  readonly copyBytesPerSecond: number;
  /** Bytes read each second by a kernel that only reads. */
  readonly readBytesPerSecond: number;
  /** Float32 operations each second, two a multiply-add. */
  readonly flopsPerSecond: number;
  /** Milliseconds from a submit of a tiny copy to its bytes on the host. */
  readonly readbackMs: number;
}

const GROUP = 256;
const READS_EACH = 8;
const FMA_ROUNDS = 512;
/** Multiply-adds of a thread and round, two operations each: four vectors of four. */
const FLOPS_A_ROUND = 2 * 16;
const RUNS = 5;
const WARM_UP_MS = 300;

/** Measures within about two seconds; on a software adapter with less work. */
export async function measureGpu(open: Gpu): Promise<GpuSpeed> {
  const gpu = opened(open);
  const bytes = gpu.info.software ? 2 ** 22 : Math.min(2 ** 29, gpu.limits.bindingBytes);
  const words = Math.floor(bytes / (16 * GROUP * READS_EACH)) * GROUP * READS_EACH;
  const fmaGroups = gpu.info.software ? 16 : 32768;
  const bench = await Bench.create(gpu, words * 16);
  try {
    const { to, from } = bench;
    const copied = words * 16;
    const reads = words / (GROUP * READS_EACH);
    await bench.warmUp(fmaGroups);
    const fma = await bench.seconds("measure_fma", { GROUP, ROUNDS: FMA_ROUNDS }, [to], fmaGroups);
    return {
      readbackMs: 1000 * await bench.readbackSeconds(),
      copyBytesPerSecond: 2 * copied /
        await bench.seconds("copy", { GROUP }, [to, from], words / GROUP),
      readBytesPerSecond: copied /
        await bench.seconds("measure_read", { GROUP, EACH: READS_EACH }, [to, from], reads),
      flopsPerSecond: fmaGroups * GROUP * FMA_ROUNDS * FLOPS_A_ROUND / fma,
    };
  } finally {
    bench.close();
  }
}

/** Two buffers, and a staging buffer whose map waits for the device. */
class Bench {
  readonly #gpu: OpenGpu;
  readonly #staging: GPUBuffer;
  readonly #buffers: readonly [GPUBuffer, GPUBuffer];
  readonly #uniform: GPUBuffer;
  readonly #host = new Uint8Array(16);

  private constructor(gpu: OpenGpu, bytes: number, staging: GPUBuffer) {
    const { STORAGE, COPY_SRC, COPY_DST, UNIFORM } = GPUBufferUsage;
    const make = (label: string) =>
      gpu.device.createBuffer({ label, size: bytes, usage: STORAGE | COPY_SRC | COPY_DST });
    this.#gpu = gpu;
    this.#staging = staging;
    this.#buffers = [make("measure to"), make("measure from")];
    this.#uniform = gpu.device.createBuffer({ label: "step", size: 16, usage: UNIFORM | COPY_DST });
  }

  static async create(gpu: OpenGpu, bytes: number): Promise<Bench> {
    return new Bench(gpu, bytes, await gpu.mapper.create(16));
  }

  get to(): Binding {
    return { buffer: this.#buffers[0], access: "write" };
  }

  get from(): Binding {
    return { buffer: this.#buffers[1], access: "read" };
  }

  /** Works until an adapter that saved energy has raised its clocks. */
  async warmUp(groups: number): Promise<void> {
    const end = performance.now() + WARM_UP_MS;
    while (performance.now() < end) {
      await this.seconds("measure_fma", { GROUP, ROUNDS: FMA_ROUNDS }, [this.to], groups);
    }
  }

  /** Median seconds of one dispatch, the wait for the device taken off by running it once and nine times. */
  async seconds(
    kernel: string,
    defines: Defines,
    bindings: readonly Binding[],
    groups: number,
  ): Promise<number> {
    const { pipeline, layout } = this.#gpu.pipelines.get({ kernel, defines, bindings });
    const entries = [{ binding: 0, resource: { buffer: this.#uniform } }].concat(
      bindings.map(({ buffer }, i) => ({ binding: i + 1, resource: { buffer } })),
    );
    const group = this.#gpu.device.createBindGroup({ layout, entries });
    const [x = 0, y = 0] = folded(groups);
    const run = (times: number) =>
      this.#wait((encoder) => {
        const pass = encoder.beginComputePass();
        pass.setPipeline(pipeline);
        pass.setBindGroup(0, group);
        for (let i = 0; i < times; i++) pass.dispatchWorkgroups(x, y);
        pass.end();
      });
    await run(1);
    const once = await median(() => run(1));
    return Math.max((await median(() => run(9)) - once) / 8, 1e-9);
  }

  /** Median seconds of a submit that does nothing but bring bytes back. */
  readbackSeconds(): Promise<number> {
    return median(() => this.#wait(() => {}));
  }

  close(): void {
    for (const buffer of [this.#staging, this.#uniform, ...this.#buffers]) buffer.destroy();
  }

  async #wait(encode: (encoder: GPUCommandEncoder) => void): Promise<number> {
    const { device, mapper } = this.#gpu;
    const start = performance.now();
    const encoder = device.createCommandEncoder();
    encode(encoder);
    encoder.copyBufferToBuffer(this.#buffers[0], 0, this.#staging, 0, 16);
    device.queue.submit([encoder.finish()]);
    await mapper.read(this.#staging, this.#host);
    return (performance.now() - start) / 1000;
  }
}

function folded(groups: number): Uint32Array {
  const grid = new Uint32Array(3);
  fold(grid, groups);
  return grid;
}

async function median(measure: () => Promise<number>): Promise<number> {
  const seconds: number[] = [];
  for (let i = 0; i < RUNS; i++) seconds.push(await measure());
  return seconds.sort((a, b) => a - b)[Math.floor(RUNS / 2)]!;
}
