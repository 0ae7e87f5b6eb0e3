/** One model on one backend, stepped by hand. */
import {
  type Backend,
  createStep,
  ModelPartition,
  parseModelSpec,
  type StepBuffer,
  type StepResult,
} from "../../kernels/mod.ts";
import type { ModelShape } from "../shapes.ts";
import { configOf } from "../weights/mod.ts";
import type { GpuModel } from "./models.ts";
import { RandomWeights } from "./weights.ts";

const PAGE = 16;
/** Positions of a sequence. */
const CONTEXT = 2048;
const SEQUENCES = 32;
const sequencePages = CONTEXT / PAGE;
const capacity = {
  tokens: 2048,
  samples: SEQUENCES,
  sequences: SEQUENCES,
  sequencePages,
  history: 1,
};

/** A loaded model. */
export class Subject {
  readonly partition: ModelPartition;
  readonly #vocab: number;
  readonly #step: StepBuffer = createStep(capacity);

  constructor(readonly backend: Backend, { shape, dtype }: GpuModel) {
    const spec = parseModelSpec(hubConfig(shape));
    this.#vocab = shape.vocab;
    this.partition = ModelPartition.load(backend, spec, new RandomWeights(shape, dtype), {
      capacity,
      layers: { first: 0, count: shape.layers },
      pages: SEQUENCES * sequencePages,
      pageSize: PAGE,
      kvDtype: "f16",
    });
    // Pages of a sequence lie apart, as after some hours of service.
    const { pages } = this.#step;
    for (let i = 0; i < pages.length; i++) {
      pages[i] = i % sequencePages * SEQUENCES + Math.floor(i / sequencePages);
    }
    this.#step.history = new Int32Array(0);
  }

  /** Tokens `[from, from + count)` of one sequence in one step; samples the last. */
  prefill(sequence: number, from: number, count: number): Promise<StepResult> {
    const step = this.#step;
    for (let i = 0; i < count; i++) this.#token(i, sequence, from + i);
    step.tokens = count;
    step.rounds = 1;
    this.#sample([count - 1]);
    return this.partition.step(step);
  }

  /** One token at `position` of each of the first `batch` sequences, and those that follow in more rounds. */
  decode(batch: number, position: number, rounds = 1): Promise<StepResult> {
    for (let i = 0; i < batch; i++) this.#token(i, i, position);
    this.#step.tokens = batch;
    this.#step.rounds = rounds;
    this.#sample(Array.from({ length: batch }, (_, i) => i));
    return this.partition.step(this.#step);
  }

  /** The logits of the last step's first sample. */
  logits(): Promise<Float32Array> {
    return this.partition.readLogits(1);
  }

  #token(i: number, sequence: number, position: number): void {
    const { ids, positions, sequences } = this.#step;
    ids[i] = (sequence * 7919 + position * 31 + 5) % this.#vocab;
    positions[i] = position;
    sequences[i] = sequence;
  }

  #sample(rows: readonly number[]): void {
    const step = this.#step;
    step.samples = rows.length;
    step.indices.set(rows);
    for (let s = 0; s < rows.length; s++) step.controls.set([0, 1, 0, 1, 0, 0, 0, 0], s * 8);
  }
}

function hubConfig(shape: ModelShape) {
  const config = configOf(shape);
  return {
    ...config,
    architectures: [shape.experts ? "MixtralForCausalLM" : "LlamaForCausalLM"],
  };
}
