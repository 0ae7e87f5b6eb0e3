/** Compares what a GPU computes with what the CPU does, before anything is timed. */
import { createWebGpuBackend, type Gpu, openDevice, type WeightDType } from "../../kernels/mod.ts";
import { type GpuModel, tinyDense, tinyMoe } from "./models.ts";
import { Subject } from "./subject.ts";

/** Activations are rounded to 8 bits on the CPU before they meet quantised weights. */
const TOLERANCE = 0.03;
const TOKENS = 40;

/** Throws when the logits of a small model of this form and dtype differ. */
export async function checkModel(gpu: Gpu, { shape, dtype }: GpuModel): Promise<void> {
  const small = { shape: shape.experts ? tinyMoe : tinyDense, dtype };
  const cpu = await openDevice("cpu", 1);
  const [actual, expected] = [
    createWebGpuBackend({ gpu }),
    await cpu.createBackend(2 ** 29),
  ];
  try {
    const [a, e] = [
      await logits(new Subject(actual, small)),
      await logits(new Subject(expected, small)),
    ];
    checkNear(a, e, small.shape.name, dtype);
  } finally {
    actual.close();
    expected.close();
    await cpu.close();
  }
}

async function logits(subject: Subject): Promise<Float32Array> {
  await subject.prefill(0, 0, TOKENS);
  await subject.decode(1, TOKENS);
  return await subject.logits();
}

function checkNear(
  actual: Float32Array,
  expected: Float32Array,
  name: string,
  dtype: WeightDType,
): void {
  const difference = Math.hypot(...actual.map((value, i) => value - expected[i]!));
  const relative = difference / Math.hypot(...expected);
  if (relative <= TOLERANCE) return;
  throw new Error(`Cannot trust ${name} in ${dtype}, logits differ from the CPU by: ${relative}`);
}
