/** Whether uploads overlap compute, and at what bandwidth: what bringing experts to a busy GPU relies on. */
import type { Gpu } from "../../kernels/mod.ts";
import { median } from "../harness.ts";
import { rounded } from "./kernel_rows.ts";

/** Uploads of one kind, alone and while the GPU computes. */
export interface UploadRow {
  readonly way: string;
  /** MiB of one upload. */
  readonly chunk_mib: number;
  /** MiB of all that were measured together. */
  readonly total_mib: number;
  readonly gb_s: number;
  readonly upload_ms: number;
  readonly compute_ms: number;
  /** Both, the compute submitted first. */
  readonly both_ms: number;
  /** How much of the shorter of the two is hidden: 1 = all of it, 0 = they take turns. */
  readonly overlap: number;
}

const MIB = 2 ** 20;
const RUNS = 3;
const COMPUTE_MS = 10;

/** Gives the rows one by one: with less to upload on a software adapter. */
export async function* measureUploads(gpu: Gpu): AsyncGenerator<UploadRow> {
  const { software } = gpu.info;
  const total = software ? 4 : 128;
  const device = await Device.create(gpu, total * MIB);
  try {
    for (const chunk of software ? [1] : [16, 64, 1]) {
      for (const way of ["writeBuffer", "mapped staging"] as const) {
        yield await measure(device, way, chunk, total);
      }
    }
  } finally {
    device.close();
  }
}

async function measure(
  device: Device,
  way: "writeBuffer" | "mapped staging",
  chunk: number,
  total: number,
): Promise<UploadRow> {
  const bytes = new Uint8Array(chunk * MIB).fill(7);
  const upload = () => {
    for (let at = 0; at < total * MIB; at += bytes.length) {
      if (way === "writeBuffer") device.write(at, bytes);
      else device.stage(at, bytes);
    }
  };
  const both = () => {
    device.compute();
    upload();
  };
  const [uploadMs, computeMs, bothMs] = [
    await device.milliseconds(upload),
    await device.milliseconds(() => device.compute()),
    await device.milliseconds(both),
  ];
  const hidden = (uploadMs + computeMs - bothMs) / Math.min(uploadMs, computeMs);
  return {
    ...{ way, chunk_mib: chunk, total_mib: total },
    gb_s: rounded(total * MIB / uploadMs / 1e6),
    upload_ms: rounded(uploadMs, 2),
    compute_ms: rounded(computeMs, 2),
    both_ms: rounded(bothMs, 2),
    overlap: rounded(Math.min(1, Math.max(0, hidden)), 2),
  };
}

const shader = `
@group(0) @binding(0) var<storage, read_write> sums: array<f32>;
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  var sum = f32(id.x);
  for (var i = 0u; i < 256u; i++) {
    sum = fma(sum, 0.999, 0.5);
  }
  sums[id.x] = sum;
}`;

/** Workgroups of the compute: few enough to start at once, on any GPU. */
const GROUPS = 1024;

/** A device with something to compute and somewhere to upload to. */
class Device {
  readonly #device: GPUDevice;
  readonly #isUnawaited: boolean;
  readonly #target: GPUBuffer;
  readonly #sums: GPUBuffer;
  readonly #staging: GPUBuffer;
  readonly #pipeline: GPUComputePipeline;
  readonly #group: GPUBindGroup;

  /** Dispatches of one compute: as many as take about as long as an upload. */
  #repeats = 1;

  private constructor(gpu: Gpu, bytes: number) {
    const { device, mapping } = gpu;
    const { STORAGE, COPY_SRC, COPY_DST, MAP_READ } = GPUBufferUsage;
    const make = (size: number, usage: number) => device.createBuffer({ size, usage });
    this.#device = device;
    this.#isUnawaited = mapping === "unawaited";
    this.#target = make(bytes, STORAGE | COPY_DST);
    this.#sums = make(4 * 64 * GROUPS, STORAGE | COPY_SRC);
    this.#staging = make(16, MAP_READ | COPY_DST);
    this.#pipeline = device.createComputePipeline({
      layout: "auto",
      compute: {
        module: device.createShaderModule({ code: shader }),
      },
    });
    this.#group = device.createBindGroup({
      layout: this.#pipeline.getBindGroupLayout(0),
      entries: [{ binding: 0, resource: { buffer: this.#sums } }],
    });
  }

  static async create(gpu: Gpu, bytes: number): Promise<Device> {
    const device = new Device(gpu, bytes);
    await device.#staging.mapAsync(GPUMapMode.READ);
    device.#staging.unmap();
    const once = await device.milliseconds(() => device.compute());
    device.#repeats = Math.max(1, Math.round(COMPUTE_MS / once));
    return device;
  }

  write(at: number, bytes: Uint8Array<ArrayBuffer>): void {
    this.#device.queue.writeBuffer(this.#target, at, bytes);
    this.#device.queue.submit([]);
  }

  stage(at: number, bytes: Uint8Array): void {
    const { length } = bytes;
    const usage = GPUBufferUsage.COPY_SRC;
    const staging = this.#device.createBuffer({ size: length, usage, mappedAtCreation: true });
    new Uint8Array(staging.getMappedRange()).set(bytes);
    staging.unmap();
    const encoder = this.#device.createCommandEncoder();
    encoder.copyBufferToBuffer(staging, 0, this.#target, at, length);
    this.#device.queue.submit([encoder.finish()]);
    staging.destroy();
  }

  compute(): void {
    const encoder = this.#device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    pass.setPipeline(this.#pipeline);
    pass.setBindGroup(0, this.#group);
    for (let i = 0; i < this.#repeats; i++) pass.dispatchWorkgroups(GROUPS);
    pass.end();
    this.#device.queue.submit([encoder.finish()]);
  }

  /** Median milliseconds of some work until the device has done it. */
  async milliseconds(work: () => void): Promise<number> {
    const samples: number[] = [];
    for (let i = 0; i <= RUNS; i++) {
      const start = performance.now();
      work();
      const { settled } = await this.#finished();
      if (i > 0) samples.push(performance.now() - start);
      await settled;
    }
    return median(samples)!;
  }

  close(): void {
    for (const buffer of [this.#target, this.#sums, this.#staging]) buffer.destroy();
  }

  /** Waits by mapping what a last copy wrote; gives a map that may still be settling. */
  async #finished(): Promise<{ readonly settled: Promise<void> }> {
    const encoder = this.#device.createCommandEncoder();
    encoder.copyBufferToBuffer(this.#sums, 0, this.#staging, 0, 16);
    this.#device.queue.submit([encoder.finish()]);
    const mapped = this.#staging.mapAsync(GPUMapMode.READ);
    if (!this.#isUnawaited) await mapped;
    this.#staging.getMappedRange();
    this.#staging.unmap();
    // Why a map failed is told by getMappedRange().
    return { settled: mapped.catch(() => {}) };
  }
}
