import type { Step } from "../../kernels/mod.ts";
import type { Chunk } from "./scheduler.ts";
import type { Sequence } from "./sequence.ts";

/** A step, and the chunks that it samples in the order of its rows. */
export interface Batch {
  /** What partitions compute. */
  readonly step: Step;
  /** The chunks whose last token is sampled. */
  readonly sampled: readonly Chunk[];
}

/** The step that computes the chunks of a plan. */
export function batchOf(chunks: readonly Chunk[]): Batch {
  const sampled = chunks.filter(({ sequence, count }) => count === sequence.pending);
  return { sampled, step: { ...placementOf(chunks), ...samplingOf(sampled) } };
}

/** Tokens and pages; row `i` of the page tables is that of chunk `i`. */
function placementOf(chunks: readonly Chunk[]) {
  let [tokens, width] = [0, 0];
  for (const { sequence, count } of chunks) {
    tokens += count;
    width = Math.max(width, sequence.table.pages.length);
  }
  const [ids, positions, sequences, indices, pages] = [
    new Int32Array(tokens),
    new Int32Array(tokens),
    new Int32Array(tokens),
    new Int32Array(chunks.length),
    new Int32Array(chunks.length * width),
  ];
  let [token, samples] = [0, 0];
  chunks.forEach(({ sequence, count }, row) => {
    pages.set(sequence.table.pages, row * width);
    for (let i = 0; i < count; i++, token++) {
      const position = sequence.computed + i;
      ids[token] = sequence.id(position);
      positions[token] = position;
      sequences[token] = row;
    }
    if (count === sequence.pending) indices[samples++] = token - 1;
  });
  const tables = chunks.length;
  return { tokens, ids, positions, sequences, tables, pages, indices: indices.slice(0, samples) };
}

/** What the sampler reads, one row a chunk. */
function samplingOf(sampled: readonly Chunk[]) {
  const controls = new Float32Array(sampled.length * 8);
  const integers = new Int32Array(sampled.length * 8);
  const history: number[] = [];
  sampled.forEach(({ sequence }, row) => {
    controls.set(controlsOf(sequence), row * 8);
    const first = history.length / 2;
    for (const [id, count] of sequence.counts ?? []) history.push(id, count);
    integers.set(integersOf(sequence, first, history.length / 2 - first), row * 8);
  });
  return { samples: sampled.length, controls, integers, history: Int32Array.from(history) };
}

function controlsOf({ request: { sampling } }: Sequence): number[] {
  return [
    sampling.temperature,
    sampling.topP,
    sampling.minP,
    sampling.repetitionPenalty,
    sampling.presencePenalty,
    sampling.frequencyPenalty,
    0,
    0,
  ];
}

function integersOf(sequence: Sequence, firstPair: number, pairs: number): number[] {
  const { sampling: { seed, topK }, alternatives } = sequence.request;
  return [
    seed % 2 ** 32 | 0,
    Math.floor(seed / 2 ** 32) | 0,
    sequence.length,
    firstPair,
    pairs,
    topK,
    alternatives,
    0,
  ];
}
