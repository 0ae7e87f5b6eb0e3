import type { Backend, Tensor } from "../../kernels/mod.ts";
import type { Workload } from "./workload.ts";

/** Runs a workload's small shape on both backends. Throws when what they compute is too far apart. */
export async function checkWorkload(
  workload: Workload,
  backend: Backend,
  reference: Backend,
): Promise<void> {
  const actual = await outputsOf(workload, backend);
  const expected = await outputsOf(workload, reference);
  const error = distance(actual, expected);
  if (error <= workload.tolerance) return;
  const { kernel, dtype, shape } = workload;
  throw new Error(
    `Cannot time ${kernel} of ${dtype} at ${shape}, it is off by a share of ${
      error.toPrecision(3)
    }`,
  );
}

async function outputsOf(workload: Workload, backend: Backend): Promise<Float32Array[]> {
  const { at, outputs } = await workload.prepare(backend, "check");
  const { program, counts } = at(workload.checkRows);
  await backend.run(program, counts);
  return await Promise.all(outputs.map((output) => live(backend, output, workload.checkRows)));
}

function live(backend: Backend, tensor: Tensor, rows: number): Promise<Float32Array> {
  const width = tensor.shape.slice(1).reduce((product, n) => product * n, 1);
  return backend.read(tensor, new Float32Array(rows * width));
}

/** The norm of the difference as a share of the norm of `expected`; NaN counts as infinitely far. */
export function distance(
  actual: readonly Float32Array[],
  expected: readonly Float32Array[],
): number {
  let difference = 0, norm = 0;
  expected.forEach((values, output) =>
    values.forEach((value, i) => {
      difference += (actual[output]![i]! - value) ** 2;
      norm += value ** 2;
    })
  );
  if (difference === 0) return 0;
  const share = Math.sqrt(difference / norm);
  return Number.isNaN(share) ? Infinity : share;
}
