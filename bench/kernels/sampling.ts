import { type Backend, TOP_LOGPROBS } from "../../kernels/mod.ts";
import { counts, integers, noise, output, recordMany } from "./workload.ts";
import type { Prepared, Workload } from "./workload.ts";

const mostSamples = 32;
const draws = 8;

/** Temperature and top-p; the rest is off. */
const variants = [
  { name: "greedy", temperature: 0, topP: 1 },
  { name: "top-p", temperature: 0.8, topP: 0.95 },
] as const;

/** The sampler over a small and a large vocabulary. */
export const samplings: readonly Workload[] = [32000, 151936].flatMap((vocabulary) =>
  variants.map((variant): Workload => ({
    kernel: "sample",
    dtype: "f32",
    shape: `${vocabulary}, ${variant.name}`,
    rows: [1, 8, mostSamples],
    checkRows: 3,
    tolerance: 1e-3,
    prepare: (backend, size) => prepare(backend, size === "check" ? 700 : vocabulary, variant),
  }))
);

/** Logits as a trained model has them: a few dozen stand out by up to 12, the rest is level. */
function peaked(length: number): Float32Array {
  return noise(length, 3).map((value) => value / 2 + 12 * value ** 400);
}

function prepare(
  backend: Backend,
  vocabulary: number,
  { temperature, topP }: typeof variants[number],
): Prepared {
  const logits = output(backend, mostSamples, vocabulary, "samples");
  backend.write(logits, peaked(mostSamples * vocabulary));
  const controls = output(backend, mostSamples, 8, "samples");
  const perRow = [temperature, topP, 0, 1, 0, 0, 0, 0];
  backend.write(controls, Float32Array.from({ length: 8 * mostSamples }, (_, i) => perRow[i % 8]!));
  const whole = (width: number) =>
    integers(backend, [mostSamples, width], new Int32Array(mostSamples * width), "samples");
  const inputs = { controls, integers: whole(8), history: integers(backend, [1, 2], [0, 0]) };
  const outputs = {
    tokens: integers(backend, [mostSamples], new Int32Array(mostSamples), "samples"),
    stats: output(backend, mostSamples, 4, "samples"),
    topTokens: whole(TOP_LOGPROBS),
    topLogprobs: output(backend, mostSamples, TOP_LOGPROBS, "samples"),
  };
  const program = recordMany(backend, draws, (recorder) => {
    recorder.sample(outputs, logits, inputs);
  });
  return {
    outputs: [outputs.stats],
    at: (rows) => ({
      ...{ program, counts: counts(rows, "samples"), operations: draws },
      bytes: rows * vocabulary * 4,
      flop: 2 * rows * vocabulary,
    }),
  };
}
