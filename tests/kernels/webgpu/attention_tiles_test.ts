/** Attention in tiles and in parts, which the contract's short steps do not reach: against the reference. */
import type {
  AttentionShape,
  Backend,
  Placement,
  Program,
  Tensor,
} from "../../../kernels/backend.ts";
import { createReferenceBackend } from "../../../kernels/reference/mod.ts";
import { activation, assertClose, floats, integers, Random } from "../contract/values.ts";
import { gpuTest } from "../../support/gpu.ts";

interface Setting extends AttentionShape {
  readonly dtype: "f32" | "f16";
}

const TOKENS = 110;
const SEQUENCES = 3;
const POSITIONS = 208;
const PAGE_SIZE = 16;

/** Tokens of one step: sequence and position of each. */
type Step = readonly (readonly [sequence: number, position: number])[];

/** Whole tiles, tiles that two sequences share, single tokens beside a prompt, a last tile of few rows. */
const steps: readonly Step[] = [
  [...range(0, 0, 70), ...range(1, 0, 40)],
  [...range(1, 40, 140)],
  [[0, 70], [1, 140], ...range(2, 0, 66)],
  [[0, 71], [1, 141], [2, 66]],
  [[1, 142]],
];

function range(sequence: number, from: number, to: number): [number, number][] {
  return Array.from({ length: to - from }, (_, i) => [sequence, from + i]);
}

const settings: readonly Setting[] = [
  { heads: 4, kvHeads: 1, headDim: 128, dtype: "f16" },
  { heads: 5, kvHeads: 1, headDim: 64, dtype: "f32", window: 37 },
  { heads: 2, kvHeads: 2, headDim: 36, dtype: "f32" },
  { heads: 1, kvHeads: 1, headDim: 256, dtype: "f16" },
];

for (const setting of settings) {
  const { heads, kvHeads, headDim, dtype, window } = setting;
  const described = `${heads}/${kvHeads} heads of ${headDim} ${dtype}, window ${window ?? "none"}`;
  gpuTest(`attention() of prompts and parts agrees with the reference: ${described}`, (backend) => {
    return compare(backend, setting);
  }, { tuning: { attentionThreads: 128, attentionTiledFrom: 24 } });
}

gpuTest("attention() agrees with the reference without subgroups", (backend) => {
  return compare(backend, settings[0]!);
}, { subgroups: false, tuning: { attentionThreads: 128, attentionTiledFrom: TOKENS + 1 } });

async function compare(backend: Backend, setting: Setting): Promise<void> {
  const reference = createReferenceBackend();
  const [device, plain] = [prepare(backend, setting), prepare(reference, setting)];
  const random = new Random(setting.headDim);
  for (const [index, step] of steps.entries()) {
    const values = random.floats(step.length * device.width, 2);
    const [actual, expected] = await Promise.all([
      run(backend, device, step, values),
      run(reference, plain, step, values),
    ]);
    assertClose(actual, expected, `step ${index}`, setting.dtype === "f16" ? 3e-3 : 2e-5);
  }
  reference.close();
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
  const { heads, kvHeads, headDim, dtype } = setting;
  const width = (heads + 2 * kvHeads) * headDim;
  const [qkv, out] = [
    activation(backend, [TOKENS, width]),
    activation(backend, [TOKENS, heads * headDim]),
  ];
  const sequencePages = POSITIONS / PAGE_SIZE;
  const pages = Array.from({ length: SEQUENCES * sequencePages }, (_, i) => (i * 7) % 39);
  const placement = {
    positions: integers(backend, [TOKENS], undefined, "tokens"),
    sequences: integers(backend, [TOKENS], undefined, "tokens"),
    pages: integers(backend, [SEQUENCES, sequencePages], pages),
  };
  const spec = { layers: 1, pages: pages.length, pageSize: PAGE_SIZE, kvHeads, headDim, dtype };
  const cache = backend.kvCache(spec);
  const table = activation(backend, [POSITIONS, headDim], new Float32Array(POSITIONS * headDim));
  backend.write(
    table,
    Float32Array.from(
      { length: table.byteLength / 4 },
      (_, i) => i % headDim < headDim / 2 ? 1 : 0,
    ),
  );
  const program = backend.record("attention", (r) => {
    r.rotateAppend(qkv, cache, 0, setting, { table, eps: 1e-6 }, placement);
    r.attention(out, qkv, cache, 0, setting, placement);
  });
  return { qkv, out, width, outWidth: heads * headDim, placement, program };
}

async function run(
  backend: Backend,
  { qkv, out, outWidth, placement, program }: Prepared,
  step: Step,
  values: Float32Array,
): Promise<Float32Array> {
  backend.write(qkv, values);
  backend.write(placement.sequences, Int32Array.from(step, ([sequence]) => sequence));
  backend.write(placement.positions, Int32Array.from(step, ([, position]) => position));
  await backend.run(program, { tokens: step.length, samples: 0 });
  return floats(backend, out, step.length * outWidth);
}
