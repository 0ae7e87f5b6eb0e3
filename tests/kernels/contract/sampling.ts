/** The sampler and its confidence statistics. */
import { type Backend, type Program, type Tensor, TOP_LOGPROBS } from "../../../kernels/backend.ts";
import { uniform } from "../../../kernels/sampling/rng.ts";
import type { Case } from "./matrices.ts";
import { activation, assertClose, assertSame, floats, integers, Random, rowOf } from "./values.ts";

interface Controls {
  readonly temperature: number;
  readonly topP: number;
  readonly minP: number;
  readonly repetition: number;
  readonly presence: number;
  readonly frequency: number;
  readonly topK: number;
  readonly history: readonly (readonly [token: number, count: number])[];
}

const off: Controls = {
  temperature: 1,
  topP: 1,
  minP: 0,
  repetition: 1,
  presence: 0,
  frequency: 0,
  topK: 0,
  history: [],
};

const SAMPLES = 5;
const PAIRS = 64;

const variants: readonly (readonly [string, Partial<Controls>])[] = [
  ["greedy", { temperature: 0 }],
  ["temperature", { temperature: 0.7 }],
  ["top-k", { topK: 4 }],
  ["top-k of one", { topK: 1, temperature: 3 }],
  ["top-k above the vocabulary", { topK: 1000000 }],
  ["top-p", { topP: 0.6, temperature: 1.5 }],
  ["top-p of zero", { topP: 0 }],
  ["min-p", { minP: 0.2, temperature: 2 }],
  ["all", {
    temperature: 1.3,
    topK: 20,
    topP: 0.8,
    minP: 0.05,
    repetition: 1.2,
    presence: 0.3,
    frequency: 0.1,
  }],
];

const penalties: readonly (readonly [string, Partial<Controls>])[] = [
  ["repetition", { repetition: 1.7 }],
  ["presence", { presence: 1.5 }],
  ["frequency", { frequency: 0.8 }],
];

export const samplingCases: readonly Case[] = [
  ...[5, 86, 5003].flatMap((vocabulary) =>
    variants.map(([name, controls]): Case => [
      `sample() draws by ${name} from ${vocabulary} tokens`,
      (backend) => sampleAll(backend, vocabulary, { ...off, ...controls }),
    ])
  ),
  ...penalties.map(([name, controls]): Case => [
    `sample() applies the ${name} penalty to the history`,
    (backend) => sampleAll(backend, 33, { ...off, temperature: 0.5, ...controls }),
  ]),
  ...[{ topK: 6 }, { topP: 0.5 }].map((controls): Case => [
    `sample() cuts equal logits by index: ${Object.keys(controls)}`,
    (backend) => sampleAll(backend, 23, { ...off, ...controls }, 1),
  ]),
  ["sample() takes the lowest of equal logits", ties],
  ["sample() covers the distribution", distribution],
];

/** Every sample of a batch against the definition, over many draws; logits are multiples of `step`. */
async function sampleAll(
  backend: Backend,
  vocabulary: number,
  controls: Controls,
  step = 0,
): Promise<void> {
  const random = new Random(vocabulary);
  const device = makeSampler(backend, vocabulary);
  const rounds = vocabulary > 1000 ? 3 : 40;
  for (let round = 0; round < rounds; round++) {
    const logits = makeLogits(vocabulary, random, step);
    const rows = Array.from({ length: SAMPLES }, (_, s) => ({
      ...controls,
      history: histories(rowOf(logits, s, vocabulary), random, s),
      seed: [random.below(2 ** 31), -random.below(2 ** 31)] as const,
      draw: round + s * 977,
      wanted: [0, 1, 3, TOP_LOGPROBS, 2][s]!,
    }));
    writeControls(backend, device, rows);
    backend.write(device.logits, logits);
    await checkSamples(backend, device, logits, round % 2 === 0 ? rows : rows.slice(0, 1));
  }
}

/** Distributions from nearly flat to clearly peaked. */
function makeLogits(vocabulary: number, random: Random, step: number): Float32Array {
  const logits = random.floats(SAMPLES * vocabulary, 3);
  if (step > 0) return logits.map((value) => Math.round(value / step) * step);
  for (let s = 0; s < SAMPLES; s++) {
    const row = rowOf(logits, s, vocabulary);
    row[row.indexOf(Math.max(...row))]! += s;
  }
  return logits;
}

/** Some of the most probable tokens, that penalties may change the choice, and some others. */
function histories(logits: Float32Array, random: Random, sample: number): [number, number][] {
  const ranked = [...logits.keys()].sort((a, b) => logits[b]! - logits[a]!);
  const any = Array.from({ length: 2 * sample }, () => random.below(logits.length));
  const tokens = new Set([...ranked.slice(0, sample), ...any]);
  return [...tokens].map((token) => [token, random.below(3)]);
}

async function checkSamples(
  backend: Backend,
  device: Sampler,
  logits: Float32Array,
  rows: readonly Row[],
): Promise<void> {
  const vocabulary = logits.length / SAMPLES;
  await backend.run(device.program, { tokens: 0, samples: rows.length });
  const tokens = await backend.read(device.tokens, new Int32Array(rows.length));
  const stats = await floats(backend, device.stats, rows.length * 4);
  rows.forEach((controls, s) => {
    const row = rowOf(logits, s, vocabulary);
    const token = draw(row, controls);
    if (tokens[s] !== token) throw new Error(`Sample ${s} is ${tokens[s]}, expected ${token}`);
    assertClose(rowOf(stats, s, 4), statistics(row, token), `statistics of sample ${s}`, 2e-5);
  });
  await checkTop(backend, device, logits, vocabulary, rows);
}

type Row = Controls & { seed: readonly [number, number]; draw: number; wanted: number };

interface Sampler {
  readonly logits: Tensor;
  readonly controls: Tensor;
  readonly integers: Tensor;
  readonly history: Tensor;
  readonly tokens: Tensor;
  readonly stats: Tensor;
  readonly topTokens: Tensor;
  readonly topLogprobs: Tensor;
  readonly program: Program;
}

function makeSampler(backend: Backend, vocabulary: number): Sampler {
  const tensors = {
    logits: activation(backend, [SAMPLES, vocabulary], undefined, "samples"),
    controls: activation(backend, [SAMPLES, 8], undefined, "samples"),
    integers: integers(backend, [SAMPLES, 8], undefined, "samples"),
    history: integers(backend, [PAIRS, 2]),
    tokens: integers(backend, [SAMPLES], undefined, "samples"),
    stats: activation(backend, [SAMPLES, 4], undefined, "samples"),
    topTokens: integers(backend, [SAMPLES, TOP_LOGPROBS], undefined, "samples"),
    topLogprobs: activation(backend, [SAMPLES, TOP_LOGPROBS], undefined, "samples"),
  };
  const { logits } = tensors;
  const program = backend.record("sample", (r) => r.sample(tensors, logits, tensors));
  return { ...tensors, program };
}

function writeControls(backend: Backend, device: Sampler, rows: readonly Row[]): void {
  const pairs: number[] = [];
  rows.forEach((row, s) => {
    const { temperature, topP, minP, repetition, presence, frequency, topK, history } = row;
    const controls = [temperature, topP, minP, repetition, presence, frequency, 0, 0];
    backend.write(device.controls, Float32Array.from(controls), s * 8);
    const first = pairs.length / 2;
    const values = [...row.seed, row.draw, first, history.length, topK, row.wanted, 0];
    backend.write(device.integers, Int32Array.from(values), s * 8);
    pairs.push(...history.flat());
  });
  backend.write(device.history, Int32Array.from(pairs));
}

/** The sampler from its definition, by sorting. */
function draw(logits: Float32Array, row: Row): number {
  const scores = Float64Array.from(logits);
  for (const [token, count] of row.history) {
    const score = scores[token]!;
    const repeated = score > 0 ? score / row.repetition : score * row.repetition;
    scores[token] = repeated - (count > 0 ? row.presence : 0) - row.frequency * count;
  }
  const ranked = [...scores.keys()].sort((a, b) => scores[b]! - scores[a]! || a - b);
  if (row.temperature === 0) return ranked[0]!;
  const kept = row.topK > 0 ? ranked.slice(0, row.topK) : ranked;
  const top = scores[ranked[0]!]!;
  const masses = kept.map((token) => Math.exp((scores[token]! - top) / row.temperature));
  const total = masses.reduce((a, b) => a + b, 0);
  let before = 0;
  const survivors = kept.filter((_, rank) => {
    const keep = rank === 0 || (before < row.topP * total && masses[rank]! >= row.minP);
    before += masses[rank]!;
    return keep;
  }).map((token, rank) => [token, masses[rank]!] as const).sort(([a], [b]) => a - b);
  let left = uniform(...row.seed, row.draw) * survivors.reduce((sum, [, mass]) => sum + mass, 0);
  for (const [token, mass] of survivors) if ((left -= mass) < 0) return token;
  return survivors.at(-1)![0];
}

function logProbabilities(logits: Float32Array): Float64Array {
  const top = logits.reduce((a, b) => Math.max(a, b), -Infinity);
  const total = logits.reduce((sum, value) => sum + Math.exp(value - top), 0);
  return Float64Array.from(logits, (value) => value - top - Math.log(total));
}

function statistics(logits: Float32Array, token: number): number[] {
  const logprobs = logProbabilities(logits);
  const [first, second] = logprobs.toSorted().reverse();
  const entropy = -logprobs.reduce((sum, value) => sum + Math.exp(value) * value, 0);
  return [logprobs[token]!, first! - second!, entropy, first!];
}

async function checkTop(
  backend: Backend,
  device: Sampler,
  logits: Float32Array,
  vocabulary: number,
  rows: readonly Row[],
): Promise<void> {
  const size = rows.length * TOP_LOGPROBS;
  const tokens = await backend.read(device.topTokens, new Int32Array(size));
  const logprobs = await floats(backend, device.topLogprobs, size);
  rows.forEach(({ wanted }, s) => {
    const expected = logProbabilities(rowOf(logits, s, vocabulary));
    const order = [...expected.keys()].sort((a, b) => expected[b]! - expected[a]! || a - b);
    const best = order.slice(0, wanted);
    const at = s * TOP_LOGPROBS;
    assertSame(tokens.subarray(at, at + best.length), best, `top tokens of sample ${s}`);
    const values = logprobs.subarray(at, at + best.length);
    assertClose(
      values,
      best.map((token) => expected[token]!),
      `top log-probabilities of sample ${s}`,
    );
  });
}

async function ties(backend: Backend): Promise<void> {
  const vocabulary = 4099;
  const device = makeSampler(backend, vocabulary);
  const row = { ...off, temperature: 0, seed: [1, 2] as const, draw: 0, wanted: 4 };
  writeControls(backend, device, Array(SAMPLES).fill(row));
  const peaks = [[4098, 7], [2048, 2047], [4097, 4098], [3000, 2], [0, 4098]];
  const logits = new Float32Array(SAMPLES * vocabulary);
  peaks.forEach((peak, s) => peak.forEach((token) => logits[s * vocabulary + token] = 3));
  backend.write(device.logits, logits);
  await backend.run(device.program, { tokens: 0, samples: SAMPLES });
  const tokens = await backend.read(device.tokens, new Int32Array(SAMPLES));
  assertSame(tokens, peaks.map((peak) => Math.min(...peak)), "greedy tokens");
  const stats = await floats(backend, device.stats, SAMPLES * 4);
  for (let s = 0; s < SAMPLES; s++) {
    if (stats[s * 4 + 1] !== 0) throw new Error(`Margin of a tie is ${stats[s * 4 + 1]}`);
  }
  await checkTop(backend, device, logits, vocabulary, Array(SAMPLES).fill(row));
}

/** Draws 4,000 times; a goodness-of-fit test against the softmax, with a fixed seed. */
async function distribution(backend: Backend): Promise<void> {
  const [vocabulary, rounds] = [7, 800];
  const device = makeSampler(backend, vocabulary);
  const row = new Random(9).floats(vocabulary, 1.5);
  backend.write(
    device.logits,
    Float32Array.from({ length: SAMPLES * vocabulary }, (_, i) => row[i % vocabulary]!),
  );
  const counts = new Array<number>(vocabulary).fill(0);
  for (let round = 0; round < rounds; round++) {
    const rows = Array.from({ length: SAMPLES }, (_, s) => ({
      ...off,
      seed: [77, s] as const,
      draw: round,
      wanted: 0,
    }));
    writeControls(backend, device, rows);
    await backend.run(device.program, { tokens: 0, samples: SAMPLES });
    for (const token of await backend.read(device.tokens, new Int32Array(SAMPLES))) {
      counts[token]!++;
    }
  }
  const probabilities = logProbabilities(row).map(Math.exp);
  const chiSquare = counts.reduce((sum, count, token) => {
    const expected = probabilities[token]! * SAMPLES * rounds;
    return sum + (count - expected) ** 2 / expected;
  }, 0);
  if (chiSquare > 22.5) {
    throw new Error(`Chi-square of 6 degrees is ${chiSquare}, counts ${counts}`);
  }
}
