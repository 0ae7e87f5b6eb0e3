import type { Backend, KvCache, Placement, RotaryWeights, Tensor } from "../../kernels/mod.ts";
import { counts, input, integers, noise, output, recordMany } from "./workload.ts";
import type { Prepared, Run, Size, Workload } from "./workload.ts";

const shape = { heads: 16, kvHeads: 4, headDim: 64 };
const width = (shape.heads + 2 * shape.kvHeads) * shape.headDim;
const pageSize = 16;
const positions = 512;
const sequences = 32;
const sequencePages = positions / pageSize;

const widths = { f32: 4, f16: 2 };
type KvDType = keyof typeof widths;

/** What is timed: a token of every sequence at the last position, or one prompt from the first. */
const decode = { name: `decode at ${positions}`, rows: [1, 8, sequences] };
const prefill = { name: "prefill", rows: [128, positions] };

/** Attention of decodes and of prompts, and the rotation that fills its cache. */
export const attentions: readonly Workload[] = (["f32", "f16"] as const).flatMap((dtype) => [
  workload("attention", decode, dtype),
  workload("attention", prefill, dtype),
  workload("rotateAppend", decode, dtype),
  workload("rotateAppend", prefill, dtype),
]);

type Kernel = "attention" | "rotateAppend";
type Phase = typeof decode;

function workload(kernel: Kernel, phase: Phase, dtype: KvDType): Workload {
  return {
    kernel,
    dtype,
    shape: `${phase.name}, ${shape.heads}/${shape.kvHeads} heads of ${shape.headDim}`,
    rows: phase.rows,
    checkRows: phase === decode ? 2 : 40,
    tolerance: dtype === "f16" ? 3e-3 : 1e-4,
    prepare: (backend, size) => prepare(backend, kernel, phase, dtype, size),
  };
}

interface Device {
  readonly cache: KvCache;
  readonly qkv: Tensor;
  readonly placement: Placement;
  readonly rotary: RotaryWeights;
  readonly layers: number;
}

async function prepare(
  backend: Backend,
  kernel: Kernel,
  phase: Phase,
  dtype: KvDType,
  size: Size,
): Promise<Prepared> {
  const layers = size === "full" ? 8 : 2;
  const device = makeDevice(backend, dtype, layers);
  const { cache, qkv, placement, rotary } = device;
  const out = output(backend, positions, shape.heads * shape.headDim);
  await fill(backend, device, size === "check" ? 2 : sequences);
  const program = recordMany(backend, layers, (recorder, layer) => {
    if (kernel === "attention") recorder.attention(out, qkv, cache, layer, shape, placement);
    else recorder.rotateAppend(qkv, cache, layer, shape, rotary, placement);
  });
  return {
    outputs: [kernel === "attention" ? out : qkv],
    at: (rows) => {
      backend.write(qkv, noise(rows * width, 3));
      if (phase === decode) place(backend, placement, rows, (i) => [i, positions - 1]);
      else place(backend, placement, rows, (i) => [0, i]);
      const seen = phase === decode ? rows * positions : rows * (rows + 1) / 2;
      const held = phase === decode ? seen : rows;
      const work = workOf(kernel, dtype, { rows, seen, held });
      return { program, counts: counts(rows), operations: layers, ...work };
    },
  };
}

/** `seen` are pairs of a token and a position before it, `held` the positions that are read. */
function workOf(
  kernel: Kernel,
  dtype: KvDType,
  { rows, seen, held }: { rows: number; seen: number; held: number },
): Pick<Run, "bytes" | "flop"> {
  const { heads, kvHeads, headDim } = shape;
  return kernel === "attention"
    ? { bytes: held * 2 * kvHeads * headDim * widths[dtype], flop: 4 * seen * heads * headDim }
    : { bytes: rows * width * 4, flop: 3 * rows * (heads + kvHeads) * headDim };
}

function makeDevice(backend: Backend, dtype: KvDType, layers: number): Device {
  const { kvHeads, headDim } = shape;
  const pages = sequences * sequencePages;
  const zeros = new Int32Array(positions);
  const table = backend.tensor({ label: "rotary", dtype: "f32", shape: [positions, headDim] });
  backend.write(table, angles());
  return {
    layers,
    qkv: input(backend, positions, width),
    rotary: { table, eps: 1e-6 },
    cache: backend.kvCache({ layers, pages, pageSize, kvHeads, headDim, dtype }),
    placement: {
      positions: integers(backend, [positions], zeros, "tokens"),
      sequences: integers(backend, [positions], zeros, "tokens"),
      pages: integers(backend, [sequences, sequencePages], Array.from({ length: pages }, scatter)),
    },
  };
}

/** Pages of a sequence lie apart, as after some hours of service. */
function scatter(_: unknown, index: number): number {
  return index % sequencePages * sequences + Math.floor(index / sequencePages);
}

function angles(): Float32Array {
  const half = shape.headDim / 2;
  return Float32Array.from({ length: positions * shape.headDim }, (_, i) => {
    const column = i % shape.headDim;
    const angle = Math.floor(i / shape.headDim) * 10000 ** (-(column % half) / half);
    return column < half ? Math.cos(angle) : Math.sin(angle);
  });
}

/** Writes keys and values of whole sequences: memory that nobody wrote costs nothing to read. */
async function fill(backend: Backend, device: Device, count: number): Promise<void> {
  const { cache, qkv, placement, rotary, layers } = device;
  const program = recordMany(backend, layers, (recorder, layer) => {
    recorder.rotateAppend(qkv, cache, layer, shape, rotary, placement);
  });
  for (let sequence = 0; sequence < count; sequence++) {
    backend.write(qkv, noise(positions * width, sequence));
    place(backend, placement, positions, (i) => [sequence, i]);
    await backend.run(program, counts(positions));
  }
}

function place(
  backend: Backend,
  { positions, sequences }: Placement,
  rows: number,
  of: (row: number) => readonly [sequence: number, position: number],
): void {
  const places = Array.from({ length: rows }, (_, i) => of(i));
  backend.write(sequences, Int32Array.from(places, ([sequence]) => sequence));
  backend.write(positions, Int32Array.from(places, ([, position]) => position));
}
