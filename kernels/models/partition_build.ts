/** Loads weights, allocates memory and records the programs of a partition. */
import type { Backend, KvCache, Program, Recorder, Tensor } from "../backend.ts";
import { KernelError } from "../errors.ts";
import { type Activations, allocateActivations } from "./activations.ts";
import { type LayerContext, recordAttention, recordFeedForward, recordHead } from "./graph.ts";
import type { PartitionOptions } from "./partition_options.ts";
import { rotaryTable } from "./rotary.ts";
import type { ModelSpec } from "./spec.ts";
import type { WeightLoader } from "./weight_loader.ts";
import { type LayerWeights, loadLayer, type Range } from "./weights.ts";

/** One program, and the layer whose remote experts must be asked after it. */
export interface Segment {
  readonly program: Program;
  readonly remoteLayer?: number;
}

/** Loads and records one partition. */
export class PartitionBuild {
  readonly activations: Activations;
  readonly #localExperts: Range;
  readonly #asksRemote: boolean;
  readonly #embedding: Tensor | undefined;
  readonly #layers: readonly LayerWeights[];
  readonly #norm: Tensor | undefined;
  readonly #head: Tensor | undefined;
  readonly #context: LayerContext;

  constructor(
    readonly backend: Backend,
    readonly spec: ModelSpec,
    readonly loader: WeightLoader,
    readonly options: PartitionOptions,
  ) {
    const { layers, capacity } = options;
    checkRange(spec, layers);
    this.#localExperts = options.localExperts ??
      { first: 0, count: spec.mixture?.experts ?? 0 };
    this.#asksRemote = this.#checkRemote();
    const isLast = layers.first + layers.count === spec.layers;
    const tied = isLast && spec.tiedEmbeddings;
    if (layers.first === 0 || tied) this.#embedding = this.#matrix("model.embed_tokens.weight");
    this.#layers = Array.from(
      { length: layers.count },
      (_, i) => loadLayer(loader, spec, layers.first + i, this.#localExperts),
    );
    if (isLast) {
      this.#norm = loader.vector("model.norm.weight", [
        { name: "model.norm.weight", shape: [spec.dim] },
      ]);
      this.#head = tied ? this.#embedding! : this.#matrix("lm_head.weight");
    }
    this.activations = allocateActivations(backend, spec, capacity, {
      last: isLast,
      remoteExperts: this.#asksRemote,
    });
    this.#context = {
      spec,
      activations: this.activations,
      cache: this.#allocateCache(),
      rotaryTable: this.#uploadRotary(),
    };
  }

  /** Cuts the layers into programs: one, unless a layer's experts must be asked elsewhere. */
  record(): Segment[] {
    const { first } = this.options.layers;
    const asking = [...this.#layers.keys()].filter((i) =>
      this.#asksRemote && this.#layers[i]!.mlp.kind === "mixture"
    );
    const ends = asking.map((i) => i + 1);
    const segments: Segment[] = ends.map((end, n) => ({
      program: this.#program(ends[n - 1] ?? 0, end, false),
      remoteLayer: first + end - 1,
    }));
    return [...segments, { program: this.#program(ends.at(-1) ?? 0, this.#layers.length, true) }];
  }

  /** Records layers `[from, to)`, with embedding and head where they belong. */
  #program(from: number, to: number, isEnd: boolean): Program {
    const { first } = this.options.layers;
    const a = this.activations;
    const sampled = this.#norm && a.outputs.tokens;
    const label = `layers from ${first + from} below ${first + to}`;
    const record = (r: Recorder) => {
      if (from === 0 && first === 0) r.embed(a.x, this.#embedding!, a.ids, sampled);
      if (from > 0) r.add(a.x, a.remote!);
      for (let i = from; i < to; i++) {
        const weights = this.#layers[i]!;
        recordAttention(r, this.#context, weights, first + i, i);
        recordFeedForward(r, this.#context, weights);
      }
      if (isEnd && this.#norm) recordHead(r, this.#context, this.#norm, this.#head!);
    };
    return this.backend.record(label, record, { outputs: this.#outputs(isEnd) });
  }

  /** What the host reads after a program. */
  #outputs(isEnd: boolean): Tensor[] {
    const { x, normed, choice, outputs } = this.activations;
    if (!isEnd) return [normed, choice!.experts, choice!.weights];
    return this.#norm ? Object.values(outputs) : [x];
  }

  #matrix(name: string): Tensor {
    return this.loader.matrix(name, this.spec.vocab, this.spec.dim);
  }

  #checkRemote(): boolean {
    const { mixture } = this.spec;
    if (!mixture || this.#localExperts.count === mixture.experts) return false;
    if (this.options.remoteExperts) return true;
    throw new KernelError(
      "InvalidArgument",
      `Cannot leave experts out without a place to ask for them: ${mixture.experts} experts, ${this.#localExperts.count} here`,
    );
  }

  #allocateCache(): KvCache {
    const { layers, pages, pageSize, kvDtype } = this.options;
    const { kvHeads, headDim } = this.spec;
    const dtype = kvDtype ?? "f32";
    return this.backend.kvCache({ layers: layers.count, pages, pageSize, kvHeads, headDim, dtype });
  }

  #uploadRotary(): Tensor {
    const { capacity, pageSize } = this.options;
    const positions = Math.min(this.spec.maxPositions, capacity.sequencePages * pageSize);
    const shape = [positions, this.spec.headDim];
    const table = this.backend.tensor({ label: "rotary", dtype: "f32", shape });
    this.backend.write(table, rotaryTable(this.spec, positions));
    return table;
  }
}

function checkRange({ layers }: ModelSpec, { first, count }: Range): void {
  if (first >= 0 && count >= 1 && first + count <= layers) return;
  throw new KernelError(
    "InvalidArgument",
    `Cannot place layers outside 0-${layers - 1}: ${first}+${count}`,
  );
}
