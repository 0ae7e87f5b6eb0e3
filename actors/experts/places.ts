import type { ExpertHolding, ModelSpec, Range } from "../../kernels/mod.ts";
import { ActorError, type Clock } from "../../runtime/mod.ts";
import type { Place } from "./assignment.ts";

/** How long a lost shard is passed over where another holds the same experts. */
const LOST_MS = 10_000;

/** An expert shard as partitions know it. An expert may have several holders: each request goes to one. */
export interface ExpertHolder {
  /** The shard's address. */
  readonly address: string;
  /** What it holds: the same as in its own arguments, since experts are named by their place there. */
  readonly holds: readonly ExpertHolding[];
}

/** Which shards hold the experts of a range of layers, and which of them were lost lately. */
export class ExpertPlaces {
  readonly #clock: Clock;
  readonly #holders: readonly ExpertHolder[];
  /** By layer and expert. */
  readonly #places: ReadonlyMap<number, readonly (readonly Place[])[]>;
  /** When a shard was last lost, by its index. */
  readonly #lostAt = new Map<number, number>();

  /** Throws `Denied` when an expert of these layers is held neither by a shard nor in `local`. */
  constructor(
    clock: Clock,
    spec: ModelSpec,
    holders: readonly ExpertHolder[],
    layers: Range,
    local: Range,
  ) {
    this.#clock = clock;
    this.#holders = holders;
    const { experts = 0, layers: isMixture = [] } = spec.mixture ?? {};
    const mixtures = Array.from({ length: layers.count }, (_, i) => layers.first + i)
      .filter((layer) => isMixture[layer]);
    this.#places = new Map(mixtures.map((layer) => {
      const places = Array.from({ length: experts }, (_, expert) => this.#find(layer, expert));
      const orphan = places.findIndex((held, expert) => held.length === 0 && !isIn(local, expert));
      if (orphan < 0) return [layer, places];
      throw new ActorError(
        "Denied",
        `Cannot find a shard for an expert of layer ${layer}: ${orphan}`,
      );
    }));
  }

  /**
   * The shards to ask for an expert: without those of `failed`, and without those lost lately unless no other
   * is left. Throws `Terminated` when none is left at all.
   */
  open(layer: number, expert: number, failed: ReadonlySet<number>): readonly Place[] {
    const left = this.#places.get(layer)![expert]!.filter(({ shard }) => !failed.has(shard));
    if (left.length === 0) {
      throw new ActorError(
        "Terminated",
        `Cannot compute an expert of layer ${layer}, its shards are lost: ${expert}`,
      );
    }
    const now = this.#clock.now();
    const sound = left.filter(({ shard }) =>
      now - (this.#lostAt.get(shard) ?? -Infinity) > LOST_MS
    );
    return sound.length > 0 ? sound : left;
  }

  /** Notes that a shard was lost just now. */
  lose(shard: number): void {
    this.#lostAt.set(shard, this.#clock.now());
  }

  #find(layer: number, expert: number): Place[] {
    return this.#holders.flatMap(({ holds }, shard) => {
      const held = holds.find(({ layers }) => isIn(layers, layer));
      const index = held?.experts.indexOf(expert) ?? -1;
      return index < 0 ? [] : [{ shard, index }];
    });
  }
}

/** Whether a range contains an index. */
export function isIn({ first, count }: Range, index: number): boolean {
  return index >= first && index < first + count;
}
