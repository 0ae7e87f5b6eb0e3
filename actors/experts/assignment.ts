/** Which shard computes which rows. Pure: the same rows and shards give the same assignment. */
import type { ExpertRequest } from "../../kernels/mod.ts";

/** One shard that holds an expert, and the expert's place there. */
export interface Place {
  /** Index of the shard. */
  readonly shard: number;
  /** What the shard calls the expert. */
  readonly index: number;
}

/** Rows of a layer that one shard computes. */
export interface Assignment {
  /** Index of the shard. */
  readonly shard: number;
  /** Their indices in the request, ascending. */
  readonly rows: Int32Array;
  /** i32 `[rows, topK]`: experts as the shard calls them; -1 = none of its. */
  readonly experts: Int32Array;
  /** f32 `[rows, topK]`. */
  readonly weights: Float32Array;
}

/**
 * Spreads the rows of a request over shards, one assignment a shard, in the order of the shards. All rows of an
 * expert go to one shard: of those that hold it, the one with the fewest rows so far, the first among equals.
 * Experts that only one shard holds are placed first, then those with most rows, so that copies of hot experts
 * even the load out. `placesOf` answers the open shards that hold an expert; experts with -1 are left out.
 */
export function assign(
  { tokens, experts, weights }: ExpertRequest,
  placesOf: (expert: number) => readonly Place[],
): Assignment[] {
  const topK = tokens > 0 ? experts.length / tokens : 0;
  const chosen = choosePlaces(experts, placesOf);
  const drafts = new Map<number, Draft>();
  for (const { shard } of chosen.values()) drafts.set(shard, new Draft(tokens, topK));
  experts.forEach((expert, at) => {
    const place = chosen.get(expert);
    if (place) drafts.get(place.shard)!.add(at, place.index, weights[at]!);
  });
  return [...drafts].sort(([a], [b]) => a - b).map(([shard, draft]) => draft.finish(shard));
}

function choosePlaces(
  experts: Int32Array,
  placesOf: (expert: number) => readonly Place[],
): Map<number, Place> {
  const rows = new Map<number, number>();
  for (const expert of experts) if (expert >= 0) rows.set(expert, (rows.get(expert) ?? 0) + 1);
  const asked = [...rows].map(([expert, count]) => ({ expert, count, places: placesOf(expert) }));
  asked.sort((a, b) =>
    Number(a.places.length > 1) - Number(b.places.length > 1) ||
    b.count - a.count || a.expert - b.expert
  );
  const load = new Map<number, number>();
  const chosen = new Map<number, Place>();
  for (const { expert, count, places } of asked) {
    const loadOf = ({ shard }: Place) => load.get(shard) ?? 0;
    const least = places.reduce((best, place) => loadOf(place) < loadOf(best) ? place : best);
    load.set(least.shard, loadOf(least) + count);
    chosen.set(expert, least);
  }
  return chosen;
}

/** An assignment that grows by one choice after another. */
class Draft {
  readonly #topK: number;
  readonly #rows: Int32Array;
  readonly #experts: Int32Array;
  readonly #weights: Float32Array;
  #count = 0;

  constructor(tokens: number, topK: number) {
    this.#topK = topK;
    this.#rows = new Int32Array(tokens);
    this.#experts = new Int32Array(tokens * topK).fill(-1);
    this.#weights = new Float32Array(tokens * topK);
  }

  /** Adds the choice at an index of the request's experts; indices ascend. */
  add(at: number, expert: number, weight: number): void {
    const row = Math.floor(at / this.#topK);
    if (this.#count === 0 || this.#rows[this.#count - 1] !== row) this.#rows[this.#count++] = row;
    const to = (this.#count - 1) * this.#topK + at % this.#topK;
    this.#experts[to] = expert;
    this.#weights[to] = weight;
  }

  finish(shard: number): Assignment {
    const choices = this.#count * this.#topK;
    return {
      shard,
      rows: this.#rows.slice(0, this.#count),
      experts: this.#experts.slice(0, choices),
      weights: this.#weights.slice(0, choices),
    };
  }
}
