/** Device time of each dispatch of a program. */
import type { Counts } from "../backend.ts";
import { KernelError } from "../errors.ts";
import type { Cost } from "./dispatch.ts";
import type { OpenGpu } from "./gpu.ts";
import type { DeviceProgram } from "./program.ts";

/** What one dispatch did in one run. */
export interface DispatchProfile extends Cost {
  /** The operation. */
  readonly label: string;
  /** Its file in `wgsl/`, without extension. */
  readonly kernel: string;
  /** Time on the device. */
  readonly nanoseconds: number;
}

/** Queries of one set, by the standard. */
const MAX_QUERIES = 4096;

/** Runs a program with a pass, and two timestamps, a dispatch. Throws `Unsupported` without timestamps. */
export async function profile(
  { device, timestamps, mapper }: OpenGpu,
  program: DeviceProgram,
  counts: Counts,
): Promise<DispatchProfile[]> {
  const steps = program.live(counts);
  if (!timestamps || 2 * steps.length > MAX_QUERIES) {
    throw new KernelError(
      "Unsupported",
      `Cannot time ${steps.length} dispatches, timestamps: ${timestamps ? MAX_QUERIES : 0}`,
    );
  }
  const bytes = 16 * steps.length;
  const querySet = device.createQuerySet({ type: "timestamp", count: 2 * steps.length });
  const usage = GPUBufferUsage.QUERY_RESOLVE | GPUBufferUsage.COPY_SRC;
  const resolved = device.createBuffer({ label: "timestamps", size: bytes, usage });
  const staging = await mapper.create(bytes);
  const encoder = device.createCommandEncoder();
  steps.forEach(({ encode }, i) => {
    const pass = encoder.beginComputePass({
      timestampWrites: {
        querySet,
        beginningOfPassWriteIndex: 2 * i,
        endOfPassWriteIndex: 2 * i + 1,
      },
    });
    encode(pass);
    pass.end();
  });
  encoder.resolveQuerySet(querySet, 0, 2 * steps.length, resolved, 0);
  encoder.copyBufferToBuffer(resolved, 0, staging, 0, bytes);
  device.queue.submit([encoder.finish()]);
  const times = new BigUint64Array(2 * steps.length);
  await mapper.read(staging, new Uint8Array(times.buffer));
  for (const made of [querySet, resolved, staging]) made.destroy();
  return steps.map(({ dispatch: { label, kernel, cost } }, i) => ({
    label,
    kernel,
    nanoseconds: Number(times[2 * i + 1]! - times[2 * i]!),
    ...cost(counts),
  }));
}
