/** Rotary embedding, the paged cache and attention. */
import {
  type AttentionShape,
  type Backend,
  KV_BLOCK,
  type KvCache,
  type KvDType,
  type Placement,
  type RotaryWeights,
  type Tensor,
} from "../../../kernels/backend.ts";
import type { Case } from "./matrices.ts";
import { activation, assertClose, floats, integers, Random, rowOf } from "./values.ts";

interface Setting extends AttentionShape {
  readonly pageSize: number;
  readonly dtype: KvDType;
  readonly norms?: boolean;
}

const settings: readonly Setting[] = [
  { heads: 1, kvHeads: 1, headDim: 2, pageSize: 1, dtype: "f32" },
  { heads: 4, kvHeads: 2, headDim: 6, pageSize: 5, dtype: "f32" },
  { heads: 4, kvHeads: 2, headDim: 6, pageSize: 5, dtype: "f32", window: 7 },
  { heads: 6, kvHeads: 2, headDim: 8, pageSize: 16, dtype: "f32", norms: true },
  { heads: 7, kvHeads: 1, headDim: 10, pageSize: 8, dtype: "f32", window: 1 },
  { heads: 8, kvHeads: 8, headDim: 16, pageSize: 4, dtype: "f16" },
  { heads: 16, kvHeads: 2, headDim: 12, pageSize: 16, dtype: "f16", norms: true, window: 9 },
  { heads: 3, kvHeads: 1, headDim: 6, pageSize: 5, dtype: "int8" },
  { heads: 6, kvHeads: 2, headDim: 40, pageSize: 16, dtype: "int8", norms: true, window: 9 },
  { heads: 4, kvHeads: 1, headDim: 64, pageSize: 8, dtype: "int8" },
];

/** Errors by dtype of the cache; who rounds to integers, too, may come to the neighbour of a few. */
export const tolerances = { f32: 2e-5, f16: 3e-3, int8: 6e-3 } as const;

const LAYERS = 2;
const POSITIONS = 40;
const TOKENS = 33;
const PAGES = 90;

export const attentionCases: readonly Case[] = settings.map((setting) => [
  `attention() agrees with float64: ${describe(setting)}`,
  (backend) => compare(backend, setting),
]);

function describe({ heads, kvHeads, headDim, pageSize, dtype, window, norms }: Setting): string {
  const options = `${window ? `, window ${window}` : ""}${norms ? ", q/k norms" : ""}`;
  return `${heads}/${kvHeads} heads of ${headDim}, pages of ${pageSize} ${dtype}${options}`;
}

/** Tokens of one step: sequence and position of each. */
type Step = readonly (readonly [sequence: number, position: number])[];

/** Prompts of three sequences in chunks, interleaved with single tokens. */
const steps: readonly Step[] = [
  [...range(0, 0, 13), ...range(1, 0, 1), ...range(2, 0, 7)],
  [...range(2, 7, 27), ...range(1, 1, 2), ...range(0, 13, 14)],
  [[0, 14], [1, 2], [2, 27]],
  [[2, 28]],
];

function range(sequence: number, from: number, to: number): [number, number][] {
  return Array.from({ length: to - from }, (_, i) => [sequence, from + i]);
}

async function compare(backend: Backend, setting: Setting): Promise<void> {
  const random = new Random(setting.heads * 31 + setting.headDim);
  const device = makeDevice(backend, setting, random);
  const model = new Float64Model(setting, device);
  for (const step of steps) {
    const values = random.floats(step.length * device.width, 2);
    for (const layer of [0, 1]) {
      backend.write(device.qkv, values);
      place(backend, device.placement, step);
      await backend.run(device.programs[layer]!, { tokens: step.length, samples: 0 });
      const width = setting.heads * setting.headDim;
      const actual = await floats(backend, device.out, step.length * width);
      const expected = model.step(layer, step, values);
      const tolerance = tolerances[setting.dtype];
      assertClose(actual, expected.flatMap((row) => [...row]), `layer ${layer}`, tolerance);
    }
  }
}

interface Device {
  readonly qkv: Tensor;
  readonly out: Tensor;
  readonly placement: Placement;
  readonly programs: readonly ReturnType<Backend["record"]>[];
  readonly width: number;
  readonly table: Float32Array;
  readonly norms: readonly [Float32Array, Float32Array] | undefined;
}

function makeDevice(backend: Backend, setting: Setting, random: Random): Device {
  const { heads, kvHeads, headDim, pageSize, dtype } = setting;
  const width = (heads + 2 * kvHeads) * headDim;
  const qkv = activation(backend, [TOKENS, width]);
  const out = activation(backend, [TOKENS, heads * headDim]);
  const placement = makePlacement(backend, Math.ceil(POSITIONS / pageSize), random);
  const table = rotaryTable(headDim);
  const norms = setting.norms
    ? [random.floats(headDim), random.floats(headDim)] as const
    : undefined;
  const rotary = makeRotary(backend, table, norms, headDim);
  const cache: KvCache = backend.kvCache({
    layers: LAYERS,
    pages: PAGES,
    pageSize,
    kvHeads,
    headDim,
    dtype,
  });
  const programs = [0, 1].map((layer) =>
    backend.record(`attention ${layer}`, (r) => {
      r.rotateAppend(qkv, cache, layer, setting, rotary, placement);
      r.attention(out, qkv, cache, layer, setting, placement);
    })
  );
  return { qkv, out, placement, programs, width, table, norms };
}

/** Three sequences whose pages lie interleaved and out of order; row 3 of the tables is unused. */
function makePlacement(backend: Backend, maxPages: number, random: Random): Placement {
  const physical = Array.from({ length: PAGES }, (_, i) => i);
  for (let i = PAGES - 1; i > 0; i--) {
    const j = random.below(i + 1);
    [physical[i], physical[j]] = [physical[j]!, physical[i]!];
  }
  const used = Math.min(maxPages, 30);
  const pages = Array.from({ length: 4 * maxPages }, (_, i) => {
    const [row, logical] = [Math.floor(i / maxPages), i % maxPages];
    return row < 3 && logical < used ? physical[logical * 3 + row]! : 0;
  });
  return {
    positions: integers(backend, [TOKENS], undefined, "tokens"),
    sequences: integers(backend, [TOKENS], undefined, "tokens"),
    pages: integers(backend, [4, maxPages], pages),
  };
}

function place(backend: Backend, { positions, sequences }: Placement, step: Step): void {
  backend.write(sequences, Int32Array.from(step, ([sequence]) => sequence));
  backend.write(positions, Int32Array.from(step, ([, position]) => position));
}

function rotaryTable(headDim: number): Float32Array {
  const half = headDim / 2;
  return Float32Array.from({ length: POSITIONS * headDim }, (_, i) => {
    const [position, column] = [Math.floor(i / headDim), i % headDim];
    const angle = position * 100 ** (-(column % half) / half);
    return column < half ? Math.cos(angle) : Math.sin(angle);
  });
}

function makeRotary(
  backend: Backend,
  table: Float32Array,
  norms: Device["norms"],
  headDim: number,
): RotaryWeights {
  const make = (label: string, values: Float32Array, shape: number[]) => {
    const tensor = backend.tensor({ label, dtype: "f32", shape });
    backend.write(tensor, values);
    backend.seal(tensor);
    return tensor;
  };
  const rotary = { table: make("rotary", table, [POSITIONS, headDim]), eps: 1e-6 };
  if (!norms) return rotary;
  return {
    ...rotary,
    qNorm: make("q norm", norms[0], [headDim]),
    kNorm: make("k norm", norms[1], [headDim]),
  };
}

/** Attention from its definition: whole sequences in plain arrays, no pages. */
class Float64Model {
  readonly #setting: Setting;
  readonly #device: Device;
  readonly #keys = new Map<string, Float64Array[]>();
  readonly #values = new Map<string, Float64Array[]>();

  constructor(setting: Setting, device: Device) {
    this.#setting = setting;
    this.#device = device;
  }

  step(layer: number, step: Step, qkv: Float32Array): Float64Array[] {
    const { width } = this.#device;
    return step.map(([sequence, position], t) =>
      this.#token(layer, sequence, position, rowOf(qkv, t, width))
    );
  }

  #token(layer: number, sequence: number, position: number, row: Float32Array): Float64Array {
    const { heads, kvHeads, headDim, window } = this.#setting;
    const head = (index: number) => rowOf(row, index, headDim);
    const out = new Float64Array(heads * headDim);
    for (let h = 0; h < kvHeads; h++) {
      const at = `${layer} ${sequence} ${h}`;
      const [key, value] = [this.#rotate(head(heads + h), position, 1), head(heads + kvHeads + h)];
      this.#history(this.#keys, at)[position] = this.#stored(key);
      this.#history(this.#values, at)[position] = this.#stored(Float64Array.from(value));
    }
    for (let h = 0; h < heads; h++) {
      const at = `${layer} ${sequence} ${Math.floor(h / (heads / kvHeads))}`;
      const from = window ? Math.max(0, position + 1 - window) : 0;
      const keys = this.#history(this.#keys, at).slice(from, position + 1);
      const values = this.#history(this.#values, at).slice(from, position + 1);
      out.set(attend(this.#rotate(head(h), position, 0), keys, values), h * headDim);
    }
    return out;
  }

  #stored(head: Float64Array): Float64Array {
    if (this.#setting.dtype !== "int8") return head;
    return head.map((value, i) => {
      const first = i - i % KV_BLOCK;
      const block = head.subarray(first, first + KV_BLOCK);
      const scale = Math.max(...block.map(Math.abs)) / 127;
      return Math.round(value / scale) * scale;
    });
  }

  #history(store: Map<string, Float64Array[]>, at: string): Float64Array[] {
    if (!store.has(at)) store.set(at, []);
    return store.get(at)!;
  }

  #rotate(values: Float32Array, position: number, norm: 0 | 1): Float64Array {
    const { headDim } = this.#setting;
    const { table, norms } = this.#device;
    const mean = values.reduce((sum, v) => sum + v * v, 0) / headDim;
    const scale = norms ? 1 / Math.sqrt(mean + 1e-6) : 1;
    const x = Float64Array.from(values, (v, i) => v * scale * (norms?.[norm][i] ?? 1));
    const [angles, half] = [rowOf(table, position, headDim), headDim / 2];
    return x.map((v, i) => {
      const [cos, sin] = [angles[i % half]!, angles[half + i % half]!];
      return i < half ? v * cos - x[i + half]! * sin : v * cos + x[i - half]! * sin;
    });
  }
}

function attend(query: Float64Array, keys: Float64Array[], values: Float64Array[]): Float64Array {
  const scores = keys.map((key) =>
    query.reduce((sum, q, i) => sum + q * key[i]!, 0) / Math.sqrt(query.length)
  );
  const top = Math.max(...scores);
  const weights = scores.map((score) => Math.exp(score - top));
  const total = weights.reduce((a, b) => a + b, 0);
  return query.map((_, i) =>
    values.reduce((sum, value, t) => sum + weights[t]! * value[i]!, 0) / total
  );
}
