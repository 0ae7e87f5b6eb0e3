import { availableParallelism } from "node:os";
import { cpuFeatures, openDevice } from "../../kernels/mod.ts";
import { type Finding, reasonOf } from "./finding.ts";
import { selfTest } from "./self_test.ts";

/** Float32 products of 64 elements differ from exact ones by less. */
export const SELF_TEST_ERROR = 1e-5;

/** The WebAssembly backend: what it needs of the runtime, and whether it computes right. */
export async function inspectCpu(): Promise<Finding> {
  const features = await cpuFeatures();
  const names = Object.entries(features).filter(([, has]) => has).map(([name]) => name);
  try {
    const error = await tryCpu();
    const isRight = error < SELF_TEST_ERROR;
    return {
      part: "cpu",
      verdict: isRight ? "ok" : "problem",
      summary: `WebAssembly with ${names.join(", ")}`,
      details: [`self-test: relative error ${error.toExponential(1)}`],
      ...(!isRight && { advice: "Kernels compute wrong results here: please report this machine" }),
      facts: { features, selfTestError: error },
    };
  } catch (error) {
    return {
      part: "cpu",
      verdict: "problem",
      summary: reasonOf(error),
      details: [`WebAssembly has ${names.join(", ") || "none of the needed features"}`],
      advice: "The CPU backend needs WebAssembly SIMD and shared memory: use a newer Deno",
      facts: { features, selfTestError: null },
    };
  }
}

async function tryCpu(): Promise<number> {
  const device = await openDevice("cpu", availableParallelism());
  try {
    const backend = await device.createBackend(2 ** 26);
    try {
      return await selfTest(backend);
    } finally {
      backend.close();
    }
  } finally {
    device.close();
  }
}
