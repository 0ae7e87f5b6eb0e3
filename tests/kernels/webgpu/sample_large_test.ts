/** Sampling with the constants of real GPUs and a vocabulary of many segments: against the reference. */
import assert from "node:assert/strict";
import { type Backend, type Tensor, TOP_LOGPROBS } from "../../../kernels/backend.ts";
import { createReferenceBackend } from "../../../kernels/reference/mod.ts";
import {
  activation,
  assertClose,
  assertSame,
  floats,
  integers,
  Random,
} from "../contract/values.ts";
import { gpuTest } from "../../support/gpu.ts";

const VOCABULARY = 70001;
const SAMPLES = 6;
const PAIRS = 40;

/** Temperature, top-p, min-p, repetition, presence, frequency, and top-k of each sample. */
const controls = [
  [0, 1, 0, 1, 0, 0, 0],
  [0, 1, 0, 1.5, 0.5, 0.2, 0],
  [1, 1, 0, 1, 0, 0, 0],
  [0.9, 0.7, 0, 1, 0, 0, 0],
  [1.4, 0.9, 0, 1.3, 0, 0, 300],
  [0.8, 1, 0.05, 1, 0, -0.4, 0],
] as const;

gpuTest("sample() of a large vocabulary agrees with the reference", (backend) => {
  return compare(backend, new Random(5).floats(SAMPLES * VOCABULARY, 5));
}, { tuning: { samplerThreads: 256 } });

gpuTest("sample() cuts thousands of equal logits by index", (backend) => {
  const logits = new Random(6).floats(SAMPLES * VOCABULARY, 1.6).map(Math.round);
  return compare(backend, logits);
}, { tuning: { samplerThreads: 256 } });

gpuTest("sample() agrees with the reference where limits keep more than it lists", (backend) => {
  return compare(backend, new Random(8).floats(SAMPLES * VOCABULARY, 2));
}, { tuning: { samplerThreads: 256, samplerList: 4 } });

gpuTest("sample() puts penalised logits back", async (backend) => {
  const logits = new Random(7).floats(SAMPLES * VOCABULARY, 5);
  const device = prepare(backend, logits);
  await run(backend, device, 0);
  assertSame(await floats(backend, device.logits, logits.length), logits, "logits");
});

async function compare(backend: Backend, logits: Float32Array): Promise<void> {
  const reference = createReferenceBackend();
  const [device, plain] = [prepare(backend, logits), prepare(reference, logits)];
  for (const draw of [0, 1, 2]) {
    const [actual, expected] = await Promise.all([
      run(backend, device, draw),
      run(reference, plain, draw),
    ]);
    assert.deepEqual(actual.tokens, expected.tokens, `draw ${draw}`);
    assertClose(actual.stats, expected.stats, `statistics of draw ${draw}`, 2e-5);
    assertSame(actual.topTokens, expected.topTokens, "top tokens");
    assertClose(actual.topLogprobs, expected.topLogprobs, "top log-probabilities", 2e-5);
  }
  reference.close();
}

interface Sampler {
  readonly logits: Tensor;
  readonly controls: Tensor;
  readonly integers: Tensor;
  readonly history: Tensor;
  readonly tokens: Tensor;
  readonly stats: Tensor;
  readonly topTokens: Tensor;
  readonly topLogprobs: Tensor;
}

function prepare(backend: Backend, values: Float32Array) {
  const whole = (width: number) => integers(backend, [SAMPLES, width], undefined, "samples");
  const rows = controls.map((row) => [...row.slice(0, 6), 0, 0]).flat();
  const tensors: Sampler = {
    logits: activation(backend, [SAMPLES, VOCABULARY], values, "samples"),
    controls: activation(backend, [SAMPLES, 8], Float32Array.from(rows), "samples"),
    integers: whole(8),
    history: integers(backend, [PAIRS, 2], historyOf(values)),
    tokens: integers(backend, [SAMPLES], undefined, "samples"),
    stats: activation(backend, [SAMPLES, 4], undefined, "samples"),
    topTokens: whole(TOP_LOGPROBS),
    topLogprobs: activation(backend, [SAMPLES, TOP_LOGPROBS], undefined, "samples"),
  };
  const program = backend.record("sample", (r) => r.sample(tensors, tensors.logits, tensors));
  return { ...tensors, program };
}

/** The most probable tokens of the second sample, and others. */
function historyOf(values: Float32Array): number[] {
  const row = values.subarray(VOCABULARY, 2 * VOCABULARY);
  const best = row.indexOf(row.reduce((a, b) => Math.max(a, b)));
  const tokens = [best, ...Array.from({ length: PAIRS - 1 }, (_, i) => i * 1753)];
  return tokens.flatMap((token, i) => [token, i % 3]);
}

async function run(backend: Backend, device: ReturnType<typeof prepare>, draw: number) {
  const rows = controls.map(([, , , , , , topK], s) => {
    return [s * 71, -s, draw, 0, PAIRS, topK, draw === 0 ? TOP_LOGPROBS : 0, 0];
  });
  backend.write(device.integers, Int32Array.from(rows.flat()));
  await backend.run(device.program, { tokens: 0, samples: SAMPLES });
  return {
    tokens: await backend.read(device.tokens, new Int32Array(SAMPLES)),
    stats: await floats(backend, device.stats, SAMPLES * 4),
    topTokens: await backend.read(device.topTokens, new Int32Array(SAMPLES * TOP_LOGPROBS)),
    topLogprobs: await floats(backend, device.topLogprobs, SAMPLES * TOP_LOGPROBS),
  };
}
