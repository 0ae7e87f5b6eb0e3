/** Attention in tiles and in parts, which the contract's short steps do not reach: against the reference. */
import assert from "node:assert/strict";
import type {
  AttentionShape,
  Backend,
  Counts,
  KvDType,
  Placement,
  Program,
  Tensor,
} from "../../../kernels/backend.ts";
import { createReferenceBackend } from "../../../kernels/reference/mod.ts";
import { tolerances } from "../contract/attention.ts";
import { activation, assertClose, floats, integers, Random } from "../contract/values.ts";
import { gpuTest } from "../../support/gpu.ts";

interface Setting extends AttentionShape {
  readonly dtype: KvDType;
  readonly norms?: boolean;
  /** Default 16. */
  readonly pageSize?: number;
}

const TOKENS = 110;
const SEQUENCES = 3;
const POSITIONS = 208;

/** Tokens of one step: sequence and position of each. */
type Step = readonly (readonly [sequence: number, position: number])[];

/** Whole tiles, tiles of two sequences, single tokens beside a prompt, a last tile of few rows, decodes. */
const steps: readonly Step[] = [
  [...range(0, 0, 70), ...range(1, 0, 40)],
  [...range(1, 40, 140)],
  [[0, 70], [1, 140], ...range(2, 0, 66)],
  [[0, 71], [1, 141], [2, 66]],
  [[1, 142]],
  [[2, 67], [1, 143]],
];

function range(sequence: number, from: number, to: number): [number, number][] {
  return Array.from({ length: to - from }, (_, i) => [sequence, from + i]);
}

const settings: readonly Setting[] = [
  { heads: 4, kvHeads: 1, headDim: 128, dtype: "f16" },
  { heads: 5, kvHeads: 1, headDim: 64, dtype: "f32", window: 37, norms: true },
  { heads: 2, kvHeads: 2, headDim: 36, dtype: "f32" },
  { heads: 1, kvHeads: 1, headDim: 256, dtype: "f16", norms: true },
  { heads: 4, kvHeads: 1, headDim: 128, dtype: "int8", norms: true },
  { heads: 2, kvHeads: 2, headDim: 36, dtype: "int8", window: 21 },
];

/** Constants of a GPU, but for few rows and short contexts, so that these steps reach every kernel. */
const tuning = {
  attentionThreads: 64,
  attentionSharedThreads: 64,
  attentionFours: 2,
  attentionUnroll: 2,
  attentionSharedFrom: 5,
  attentionTiledFrom: 24,
  attentionSplitFrom: 64,
  attentionSplitKeys: 40,
};

for (const setting of settings) {
  const { heads, kvHeads, headDim, dtype, window, norms } = setting;
  const options = `${window ? `, window ${window}` : ""}${norms ? ", norms" : ""}`;
  const described = `${heads}/${kvHeads} heads of ${headDim} ${dtype}${options}`;
  gpuTest(`attention() in tiles and parts agrees with the reference: ${described}`, (backend) => {
    return compare(backend, setting);
  }, { tuning });
}

gpuTest(
  "attention() rotates by itself, or goes without single tokens, where sequences allow",
  async (backend) => {
    const before = backend.counters.dispatches;
    await compare(backend, settings[0]!, { hints: true });
    const perStep = (backend.counters.dispatches - before) / steps.length;
    assert(perStep < 2.9, `${perStep} dispatches a step`);
    await compare(backend, settings[1]!, { hints: true });
  },
  { tuning },
);

gpuTest("attention() does without subgroups", async (backend) => {
  await compare(backend, settings[0]!);
}, { subgroups: false, tuning: { ...tuning, attentionTiledFrom: TOKENS + 1 } });

gpuTest("attention() walks through more pages than a workgroup holds", async (backend) => {
  await compare(backend, { ...settings[0]!, pageSize: 1 }, { hints: true });
}, { tuning: { ...tuning, attentionTiledFrom: TOKENS + 1, attentionSplitFrom: POSITIONS } });

/** Runs all steps on both; with `hints`, the device is told what a partition knows of them. */
async function compare(
  backend: Backend,
  setting: Setting,
  { hints = false } = {},
): Promise<void> {
  const reference = createReferenceBackend();
  const [device, plain] = [prepare(backend, setting), prepare(reference, setting)];
  const random = new Random(setting.headDim);
  for (const [index, step] of steps.entries()) {
    const values = random.floats(step.length * device.width, 2);
    const [actual, expected] = await Promise.all([
      run(backend, device, step, values, hints ? hintsOf(step) : {}),
      run(reference, plain, step, values, {}),
    ]);
    assertClose(actual, expected, `step ${index}`, tolerances[setting.dtype]);
  }
  reference.close();
}

type Hints = Pick<Counts, "distinct" | "oneSequence" | "context">;

function hintsOf(step: Step): Hints {
  const sequences = new Set(step.map(([sequence]) => sequence)).size;
  return {
    distinct: sequences === step.length,
    oneSequence: sequences === 1,
    context: 1 + Math.max(...step.map(([, position]) => position)),
  };
}

interface Prepared {
  readonly qkv: Tensor;
  readonly out: Tensor;
  readonly width: number;
  readonly outWidth: number;
  readonly placement: Placement;
  readonly program: Program;
}

function prepare(backend: Backend, setting: Setting): Prepared {
  const { heads, kvHeads, headDim, dtype, pageSize = 16 } = setting;
  const width = (heads + 2 * kvHeads) * headDim;
  const [qkv, out] = [
    activation(backend, [TOKENS, width]),
    activation(backend, [TOKENS, heads * headDim]),
  ];
  const sequencePages = POSITIONS / pageSize;
  const count = SEQUENCES * sequencePages;
  const pages = Array.from({ length: count }, (_, i) => (i * 7) % count);
  const placement = {
    positions: integers(backend, [TOKENS], undefined, "tokens"),
    sequences: integers(backend, [TOKENS], undefined, "tokens"),
    pages: integers(backend, [SEQUENCES, sequencePages], pages),
  };
  const spec = { layers: 1, pages: pages.length, pageSize, kvHeads, headDim, dtype };
  const cache = backend.kvCache(spec);
  const table = activation(backend, [POSITIONS, headDim], angles(headDim));
  const random = new Random(3);
  const norm = () => {
    const tensor = backend.tensor({ label: "norm", dtype: "f32", shape: [headDim] });
    backend.write(tensor, random.floats(headDim));
    return tensor;
  };
  const rotary = { table, eps: 1e-6, ...(setting.norms && { qNorm: norm(), kNorm: norm() }) };
  const program = backend.record("attention", (r) => {
    r.rotateAppend(qkv, cache, 0, setting, rotary, placement);
    r.attention(out, qkv, cache, 0, setting, placement);
  });
  return { qkv, out, width, outWidth: heads * headDim, placement, program };
}

function angles(headDim: number): Float32Array {
  const half = headDim / 2;
  return Float32Array.from({ length: POSITIONS * headDim }, (_, i) => {
    const column = i % headDim;
    const angle = Math.floor(i / headDim) * 100 ** (-(column % half) / half);
    return column < half ? Math.cos(angle) : Math.sin(angle);
  });
}

async function run(
  backend: Backend,
  { qkv, out, outWidth, placement, program }: Prepared,
  step: Step,
  values: Float32Array,
  hints: Hints,
): Promise<Float32Array> {
  backend.write(qkv, values);
  backend.write(placement.sequences, Int32Array.from(step, ([sequence]) => sequence));
  backend.write(placement.positions, Int32Array.from(step, ([, position]) => position));
  await backend.run(program, { tokens: step.length, samples: 0, ...hints });
  return floats(backend, out, step.length * outWidth);
}
