import { checkpointBytes, type ModelSpec, openModel, parseModelSpec } from "../../kernels/mod.ts";
import type { ModelFacts } from "../node_protocol.ts";

/** A model whose files this node has. */
export interface ShelvedModel {
  /** Its folder or file. */
  readonly path: string;
  /** Architecture and sizes. */
  readonly spec: ModelSpec;
  /** What planners need of it. */
  readonly facts: ModelFacts;
}

/** The models whose files this node has. Each path is read once. */
export class Shelf {
  readonly #byPath = new Map<string, Promise<ShelvedModel>>();
  readonly #byHash = new Map<string, ShelvedModel>();

  /** Adds a model. Rejects with `FormatError` or `KernelError` when it cannot be used; that may be tried again. */
  add(path: string): Promise<ShelvedModel> {
    const known = this.#byPath.get(path);
    if (known) return known;
    const reading = readModel(path);
    this.#byPath.set(path, reading);
    reading.then(
      (model) => this.#byHash.set(model.facts.hash, model),
      () => this.#byPath.delete(path),
    );
    return reading;
  }

  /** The model with a content hash, wherever its files are. */
  find(hash: string): ShelvedModel | undefined {
    return this.#byHash.get(hash);
  }

  /** All of them. */
  get all(): ShelvedModel[] {
    return [...this.#byHash.values()];
  }
}

async function readModel(path: string): Promise<ShelvedModel> {
  const folder = openModel(path);
  try {
    const spec = parseModelSpec(folder.config);
    const facts = factsOf(spec, await folder.hash(), checkpointBytes(folder.weights));
    return { path, spec, facts };
  } finally {
    folder.close();
  }
}

function factsOf(spec: ModelSpec, hash: string, weightBytes: number): ModelFacts {
  const { layers, kvHeads, headDim, mixture, maxPositions } = spec;
  const experts = mixture?.experts ?? 0;
  return {
    hash,
    layers,
    experts,
    weightBytes,
    expertBytes: experts === 0 ? 0 : weightBytes * expertShare(spec) / experts,
    tokenBytes: layers * 2 * kvHeads * headDim * 4,
    maxPositions,
  };
}

/** The share of all parameters that are in experts. */
function expertShare(
  { dim, heads, kvHeads, headDim, ffn, layers, vocab, ...spec }: ModelSpec,
): number {
  const { mixture, tiedEmbeddings } = spec;
  if (!mixture) return 0;
  const sparse = mixture.layers.filter(Boolean).length;
  const experts = sparse * 3 * dim * mixture.ffn * mixture.experts;
  const attention = layers * dim * headDim * (2 * heads + 2 * kvHeads);
  const rest = sparse * dim * (3 * mixture.sharedFfn + mixture.experts) +
    (layers - sparse) * 3 * dim * ffn + vocab * dim * (tiedEmbeddings ? 1 : 2);
  return experts / (experts + attention + rest);
}
