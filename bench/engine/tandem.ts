/** Tandem's own engine: the replica's scheduler over one partition, without actors or HTTP. */
import { ModelPartition, openDevice, openModel, parseModelSpec } from "../../kernels/mod.ts";
import { Batcher, Scheduler, Sequence } from "../../actors/mod.ts";
import type { Rate } from "./subject.ts";
import { limits } from "./tandem_limits.ts";

const CONTEXT = 1024;

const sequencePages = CONTEXT / limits.pageSize;
const capacity = { ...limits, samples: limits.sequences, sequencePages, history: 1 };

/** A model loaded on the CPU device. */
export interface TandemEngine {
  /** The greedy next token after a prompt. */
  nextToken(prompt: readonly number[]): Promise<number>;
  /** Brings sequences to their prompts, then times `tokens` greedy steps of all of them. */
  decode(options: { prompts: readonly number[][]; tokens: number }): Promise<Rate>;
  /** Times one pass over a prompt. */
  prefill(prompt: readonly number[]): Promise<Rate>;
  close(): void;
}

/** Opens a GGUF file or a model folder. */
export async function openTandem(path: string, threads: number): Promise<TandemEngine> {
  const device = await openDevice("cpu", threads);
  const backend = await device.createBackend(2 ** 32 - 2 ** 16);
  const model = openModel(path);
  const spec = parseModelSpec(model.config);
  const partition = ModelPartition.load(backend, spec, model.weights, {
    layers: { first: 0, count: spec.layers },
    capacity,
    pages: limits.pages,
    pageSize: limits.pageSize,
    kvDtype: "f16",
  });
  model.close();
  return new Engine(partition, () => {
    backend.close();
    device.close();
  });
}

/** The replica's step loop. Pages of earlier prompts stay cached, so a known prompt is not computed again. */
class Engine implements TandemEngine {
  readonly #scheduler = new Scheduler(limits);
  readonly #batcher = new Batcher();
  #sequences: Sequence[] = [];

  constructor(readonly partition: ModelPartition, readonly close: () => void) {}

  async nextToken(prompt: readonly number[]): Promise<number> {
    this.#submit([prompt]);
    await this.#prefill();
    const token = this.#sequences[0]!.id(prompt.length);
    this.#cancel();
    return token;
  }

  async decode(
    { prompts, tokens }: { prompts: readonly number[][]; tokens: number },
  ): Promise<Rate> {
    this.#submit(prompts);
    await this.#prefill();
    const seconds = await timed(async () => {
      for (let i = 0; i < tokens; i++) await this.#runStep();
    });
    this.#cancel();
    return { tokensPerSecond: prompts.length * tokens / seconds };
  }

  async prefill(prompt: readonly number[]): Promise<Rate> {
    this.#submit([prompt]);
    const seconds = await timed(() => this.#prefill());
    this.#cancel();
    return { tokensPerSecond: prompt.length / seconds };
  }

  #submit(prompts: readonly (readonly number[])[]): void {
    this.#sequences = prompts.map((ids, i) =>
      new Sequence(greedy(String(i), ids), silent, CONTEXT)
    );
    for (const sequence of this.#sequences) this.#scheduler.submit(sequence);
  }

  /** Steps until every sequence has its first token. */
  async #prefill(): Promise<void> {
    while (this.#sequences.some(({ length, request }) => length === request.promptLength)) {
      await this.#runStep();
    }
  }

  async #runStep(): Promise<void> {
    const plan = this.#scheduler.plan();
    const { step, sampled } = this.#batcher.batchOf(plan);
    const result = await this.partition.step(step);
    for (let i = 0; i < plan.length; i++) this.#scheduler.advance(plan[i]!);
    for (let row = 0; row < sampled.length; row++) sampled[row]!.append(result.sampled[row]!);
  }

  #cancel(): void {
    for (const sequence of this.#sequences) sequence.cancelled = true;
    this.#scheduler.plan();
  }
}

const silent = { push() {}, close() {} };

function greedy(id: string, ids: readonly number[]) {
  return {
    id,
    ids: Int32Array.from(ids),
    promptLength: ids.length,
    maxTokens: CONTEXT,
    eosIds: [],
    alternatives: 0,
    sampling: {
      temperature: 0,
      topK: 0,
      topP: 1,
      minP: 0,
      repetitionPenalty: 1,
      presencePenalty: 0,
      frequencyPenalty: 0,
      seed: 0,
    },
  };
}

async function timed(work: () => Promise<void>): Promise<number> {
  const started = performance.now();
  await work();
  return (performance.now() - started) / 1000;
}
