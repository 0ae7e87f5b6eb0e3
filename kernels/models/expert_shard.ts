import type { Backend, ExpertChoice, Program, Recorder, Tensor } from "../backend.ts";
import { KernelError } from "../errors.ts";
import type { WeightSource } from "../formats/mod.ts";
import type { ExpertRequest } from "./partition_options.ts";
import type { ModelSpec } from "./spec.ts";
import { type LoadProgress, WeightLoader } from "./weight_loader.ts";
import { indicesOf, loadExperts, type Range } from "./weights.ts";

/** Experts that are held for a range of layers. */
export interface ExpertHolding {
  /** The layers; dense ones among them are passed over. */
  readonly layers: Range;
  /** Experts of each of them; requests name one by its place in this list. */
  readonly experts: readonly number[];
}

/** What an expert shard holds. */
export interface ExpertShardOptions {
  /** Its experts, in ranges of layers that do not overlap. */
  readonly holds: readonly ExpertHolding[];
  /** Most tokens of one request. */
  readonly tokens: number;
  /** Told after each tensor. */
  readonly progress?: LoadProgress;
}

/** Some experts of some layers on one device. */
export class ExpertShard {
  readonly #backend: Backend;
  readonly #options: ExpertShardOptions;
  readonly #x: Tensor;
  readonly #out: Tensor;
  readonly #choice: ExpertChoice;
  readonly #programs = new Map<number, Program>();

  /** Loads the experts and records one program a layer. */
  constructor(
    backend: Backend,
    spec: ModelSpec,
    source: WeightSource,
    options: ExpertShardOptions,
  ) {
    const { mixture, dim } = spec;
    if (!mixture) throw new KernelError("InvalidArgument", "Cannot shard a model without experts");
    const perToken = (label: string, width: number, dtype: "f32" | "i32" = "f32") =>
      backend.tensor({ label, dtype, shape: [options.tokens, width], rows: "tokens" });
    this.#backend = backend;
    this.#options = options;
    this.#x = perToken("x", dim);
    this.#out = perToken("out", dim);
    this.#choice = {
      experts: perToken("experts", mixture.topK, "i32"),
      weights: perToken("expert weights", mixture.topK),
    };
    const loader = new WeightLoader(backend, source, options.progress);
    for (const { layers, experts } of options.holds) {
      for (const layer of indicesOf(layers)) {
        if (this.#programs.has(layer)) refuse("two lists of experts of layer", layer);
        if (!mixture.layers[layer]) continue;
        this.#programs.set(layer, this.#record(loader, spec, layer, experts));
      }
    }
  }

  /**
   * The weighted sum over the chosen experts of this shard, f32 `[tokens, dim]`. Throws `InvalidArgument` for
   * a layer that it does not hold, too many tokens or arrays that do not fit them.
   */
  async apply({ layer, tokens, x, experts, weights }: ExpertRequest): Promise<Float32Array> {
    const program = this.#programs.get(layer);
    if (!program) refuse("experts of layer", layer);
    if (tokens > this.#options.tokens) refuse(`tokens over ${this.#options.tokens}`, tokens);
    const { shape: [, dim] } = this.#x;
    const { shape: [, topK] } = this.#choice.experts;
    checkLength("x", x, tokens * dim!);
    checkLength("experts", experts, tokens * topK!);
    checkLength("weights", weights, tokens * topK!);
    this.#backend.write(this.#x, x);
    this.#backend.write(this.#choice.experts, experts);
    this.#backend.write(this.#choice.weights, weights);
    await this.#backend.run(program, { tokens, samples: 0 });
    return await this.#backend.read(this.#out, new Float32Array(x.length));
  }

  #record(
    loader: WeightLoader,
    spec: ModelSpec,
    layer: number,
    experts: readonly number[],
  ): Program {
    const held = loadExperts(loader, spec, layer, experts, 0);
    const record = (r: Recorder) => {
      r.clear(this.#out);
      r.experts(this.#out, this.#x, this.#choice, held);
    };
    return this.#backend.record(`experts of layer ${layer}`, record, { outputs: [this.#out] });
  }
}

function checkLength(name: string, values: ArrayLike<number>, expected: number): void {
  if (values.length !== expected) refuse(`${name} of other than ${expected} values`, values.length);
}

function refuse(what: string, value: number): never {
  throw new KernelError("InvalidArgument", `Cannot compute ${what}: ${value}`);
}
