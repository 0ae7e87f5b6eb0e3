/** Tandem's own engine as a subject: the replica's scheduler over one partition, without actors or HTTP. */
import {
  createStep,
  ModelPartition,
  openDevice,
  openModelFolder,
  parseModelSpec,
} from "../../kernels/mod.ts";
import {
  type Chunk,
  fillStep,
  Scheduler,
  type SchedulerLimits,
  Sequence,
} from "../../actors/mod.ts";
import { decodePrompts, prefillPrompt } from "./prompts.ts";
import type { DecodeOptions, EngineSubject, Rate } from "./subject.ts";

const CONTEXT = 1024;
const limits: SchedulerLimits = {
  tokens: 512,
  sequences: 32,
  pages: 32 * CONTEXT / 16,
  pageSize: 16,
};
const sequencePages = CONTEXT / limits.pageSize;
const capacity = { ...limits, samples: limits.sequences, sequencePages, history: 1 };

/** Opens a model folder on the CPU device. */
export async function openTandem(
  modelDir: string,
  { threads }: { readonly threads: number },
): Promise<EngineSubject> {
  const device = await openDevice("cpu", threads);
  const backend = await device.createBackend(2 ** 32 - 2 ** 16);
  const folder = openModelFolder(modelDir);
  const spec = parseModelSpec(folder.config);
  const layers = { first: 0, count: spec.layers };
  const { pages, pageSize } = limits;
  const partition = ModelPartition.load(backend, spec, folder.weights, {
    layers,
    capacity,
    pages,
    pageSize,
  });
  folder.close();
  return new TandemSubject(new Engine(partition), spec.vocab, () => {
    backend.close();
    device.close();
  });
}

class TandemSubject implements EngineSubject {
  readonly name = "tandem";

  constructor(readonly engine: Engine, readonly vocab: number, readonly close: () => void) {}

  async nextToken(promptIds: readonly number[]): Promise<number> {
    const [sequence] = this.engine.submit([promptIds]);
    await this.engine.prefill();
    this.engine.cancel();
    return sequence!.id(promptIds.length);
  }

  async decode({ batch, promptLength, tokens }: DecodeOptions): Promise<Rate> {
    this.engine.submit(decodePrompts(batch, promptLength, this.vocab));
    await this.engine.prefill();
    const seconds = await timed(async () => {
      for (let i = 0; i < tokens; i++) await this.engine.step();
    });
    this.engine.cancel();
    return { tokensPerSecond: batch * tokens / seconds };
  }

  async prefill({ length }: { readonly length: number }): Promise<Rate> {
    this.engine.submit([prefillPrompt(length, this.vocab)]);
    const seconds = await timed(() => this.engine.prefill());
    this.engine.cancel();
    return { tokensPerSecond: length / seconds };
  }

  peakMemoryBytes(): number {
    return Deno.memoryUsage().rss;
  }
}

/** The replica's step loop. */
class Engine {
  #scheduler = new Scheduler(limits);
  readonly #step = createStep(capacity);
  #sequences: Sequence[] = [];

  constructor(readonly partition: ModelPartition) {}

  /** Begins with an empty cache, so that no measure profits from an earlier one. */
  submit(prompts: readonly (readonly number[])[]): readonly Sequence[] {
    this.#scheduler = new Scheduler(limits);
    this.#sequences = prompts.map((ids, i) =>
      new Sequence(greedy(String(i), ids), silent, CONTEXT)
    );
    for (const sequence of this.#sequences) this.#scheduler.submit(sequence);
    return this.#sequences;
  }

  /** Steps until every sequence has its first token. */
  async prefill(): Promise<void> {
    while (this.#sequences.some((sequence) => !sequence.decoding)) await this.step();
  }

  async step(): Promise<void> {
    const chunks: Chunk[] = this.#scheduler.plan();
    const sampled = fillStep(this.#step, chunks, sequencePages);
    const result = await this.partition.step(this.#step);
    for (const chunk of chunks) this.#scheduler.advance(chunk);
    sampled.forEach(({ sequence }, row) => sequence.append(result.sampled[row]!));
  }

  cancel(): void {
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
