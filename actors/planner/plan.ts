/** Decides what is changed about the replicas of a cluster. */
import { isDeepStrictEqual } from "node:util";
import type { NodeFacts, ReplicaPlacement } from "../node_protocol.ts";
import { type Demand, eligibleSites, isAsAsked, placeReplica, takeMemory } from "./place.ts";
import { placesOf } from "./parts.ts";
import { type Site, Sites } from "./sites.ts";

/** A replica that is to be brought up. */
export interface Addition {
  /** Where it goes. */
  readonly placement: ReplicaPlacement;
  /** The replica that it takes over from, to be stopped once it runs. */
  readonly replaces?: ReplicaPlacement;
}

/** What is to be done, in this order. */
export interface Plan {
  /** Replicas that cannot go on, or that nobody wants any more. */
  readonly drop: readonly ReplicaPlacement[];
  /** Replicas to bring up. */
  readonly add: readonly Addition[];
  /** What could not be placed, for people; one line each. */
  readonly problems: readonly string[];
}

/** What a plan is made from. */
export interface PlanInput {
  /** What is wanted. */
  readonly demands: readonly Demand[];
  /** The nodes that are there. */
  readonly nodes: ReadonlyMap<string, NodeFacts>;
  /** The replicas that run as far as is known, all their parts being there. */
  readonly running: readonly ReplicaPlacement[];
  /** Whether no more replicas of a level should be brought up at the moment. */
  readonly isBlocked: (demand: Demand) => boolean;
  /** Makes an id that was never used. */
  readonly newId: (demand: Demand) => string;
}

/**
 * The smallest change that gives every level its replicas: what runs where it may stays; what lies on a node
 * that is draining, or not as it was asked for, moves if there is room to bring it up anew first. Levels get
 * their first replica before any gets its second, the largest first, so that it has the best devices. Without a number, a level gets one replica for each node that
 * can hold one by itself, at least one.
 */
export function makePlan(input: PlanInput): Plan {
  return new Planning(input).run();
}

class Planning {
  readonly #input: PlanInput;
  readonly #sites: Sites;
  readonly #replicas: Map<Demand, ReplicaPlacement[]>;
  readonly #drop: ReplicaPlacement[] = [];
  readonly #add: Addition[] = [];
  readonly #problems: string[] = [];

  constructor(input: PlanInput) {
    this.#input = input;
    this.#sites = Sites.of(input.nodes);
    this.#replicas = new Map(input.demands.map((demand) => [demand, []]));
    for (const replica of input.running) this.#keep(replica);
  }

  run(): Plan {
    const open = [...this.#replicas].filter(([demand]) => !this.#input.isBlocked(demand));
    for (const [demand, replicas] of open) {
      for (const replica of [...replicas]) this.#improve(demand, replica, replicas);
    }
    const demands = open.map(([demand]) => demand);
    this.#fill(new Set(demands.sort((a, b) => b.layout.bytes - a.layout.bytes)));
    return { drop: this.#drop, add: this.#add, problems: this.#problems };
  }

  #keep(replica: ReplicaPlacement): void {
    const demand = this.#input.demands.find((candidate) => serves(replica, candidate));
    const replicas = demand && this.#replicas.get(demand)!;
    if (!replicas || this.#isTooMany(demand, replica, replicas)) {
      this.#drop.push(replica);
      return;
    }
    replicas.push(replica);
    takeMemory(this.#sites, demand, replica);
  }

  /** More than were asked for; or, where each node is to have one, a second on its node. */
  #isTooMany({ level }: Demand, replica: ReplicaPlacement, replicas: ReplicaPlacement[]): boolean {
    if (level.replicas !== undefined) return replicas.length >= level.replicas;
    return replicas.some(({ host }) => host.node === replica.host.node);
  }

  /** Moves a replica off nodes that are draining, and to where it was asked for. */
  #improve(demand: Demand, replica: ReplicaPlacement, replicas: ReplicaPlacement[]): void {
    const eligible = eligibleSites(demand, this.#sites);
    const stays = this.#stays(replica);
    if (stays && isAsAsked(demand, replica, eligible)) return;
    const others = replicas.filter((other) => other !== replica);
    if (demand.level.replicas === undefined && others.some((other) => this.#stays(other))) {
      // The other nodes have theirs already.
      replicas.splice(replicas.indexOf(replica), 1);
      this.#drop.push(replica);
      return;
    }
    const placement = this.#place(demand, others);
    if (!placement || (stays && !isAsAsked(demand, placement, eligible))) return;
    this.#add.push({ placement, replaces: replica });
    replicas.splice(replicas.indexOf(replica), 1, placement);
  }

  /** Whether none of its nodes is draining. */
  #stays(replica: ReplicaPlacement): boolean {
    return placesOf(replica).every((place) => this.#sites.has(place));
  }

  #fill(open: Set<Demand>): void {
    for (let round = 1; open.size > 0; round++) {
      for (const demand of [...open]) {
        const replicas = this.#replicas.get(demand)!;
        if (replicas.length >= (demand.level.replicas ?? Infinity)) open.delete(demand);
        else if (replicas.length < round && !this.#addOne(demand, replicas)) open.delete(demand);
      }
    }
  }

  #addOne(demand: Demand, replicas: ReplicaPlacement[]): boolean {
    const isExtra = demand.level.replicas === undefined && replicas.length > 0;
    const placement = isExtra ? this.#placeWhole(demand, replicas) : this.#place(demand, replicas);
    if (placement) {
      this.#add.push({ placement });
      replicas.push(placement);
    } else if (!isExtra) this.#problems.push(this.#problemOf(demand, replicas.length));
    return placement !== null;
  }

  #place(demand: Demand, siblings: readonly ReplicaPlacement[]): ReplicaPlacement | null {
    return this.#placeOn(demand, rank(eligibleSites(demand, this.#sites), siblings));
  }

  /** One more on a node that has none and can hold it by itself. */
  #placeWhole(demand: Demand, siblings: readonly ReplicaPlacement[]): ReplicaPlacement | null {
    const taken = new Set(siblings.flatMap(placesOf).map(({ node }) => node));
    const free = eligibleSites(demand, this.#sites).filter(({ node }) => !taken.has(node));
    const nodes = Map.groupBy(rank(free, []), ({ node }) => node);
    for (const sites of nodes.values()) {
      const placement = this.#placeOn(demand, sites);
      if (placement) return placement;
    }
    return null;
  }

  #placeOn(demand: Demand, preferred: readonly Site[]): ReplicaPlacement | null {
    const spread = placeReplica(demand, preferred);
    if (!spread) return null;
    takeMemory(this.#sites, demand, spread);
    const { family, level, model, layout: { limits, kvDtype } } = demand;
    const id = this.#input.newId(demand);
    return { id, family, level: level.name, model, limits, kvDtype, ...spread };
  }

  #problemOf(demand: Demand, has: number): string {
    const { family, level, layout } = demand;
    const what = `${family}/${level.name}${has > 0 ? ` for the ${has + 1}. time` : ""}`;
    const eligible = eligibleSites(demand, this.#sites);
    if (eligible.length === 0) {
      return `Cannot place ${what}, no device that may hold it has its files: ${level.model}`;
    }
    if (layout.partitionLayers === 0 && eligible.every(({ kind }) => kind !== "gpu")) {
      const bytes = Math.ceil(layout.layerBytes / 1e6);
      return `Cannot place ${what} without a GPU, a layer is too large for WebAssembly: ${bytes} MB`;
    }
    const [need, have] = [layout.bytes, eligible.reduce((sum, { free }) => sum + free, 0)]
      .map((bytes) => `${Math.ceil(bytes / 1e6)} MB`);
    const names = eligible.map(({ node, device }) => `${node}/${device}`).slice(0, 8).join(", ");
    return `Cannot fit ${what} into the ${have} of free memory of ${names}: ${need}`;
  }
}

/** Nodes with the fewest siblings first, then fast devices, then roomy ones; names last, to be repeatable. */
function rank(sites: readonly Site[], siblings: readonly ReplicaPlacement[]): Site[] {
  const uses = (node: string) =>
    siblings.filter((sibling) => placesOf(sibling).some((place) => place.node === node)).length;
  return [...sites].sort((a, b) =>
    uses(a.node) - uses(b.node) || b.speed - a.speed || b.free - a.free ||
    (`${a.node}/${a.device}` < `${b.node}/${b.device}` ? -1 : 1)
  );
}

function serves(replica: ReplicaPlacement, { family, level, model, layout }: Demand): boolean {
  const { partitions, shards } = replica;
  const isCutRight = typeof level.partitions === "number" ||
    isDeepStrictEqual(
      level.partitions.map(({ layers }) => layers),
      partitions.map((part) => part.layers.count),
    );
  const isShardedRight = typeof level.expertShards === "number"
    ? shards.length === level.expertShards
    : isDeepStrictEqual(level.expertShards.map((s) => s.experts), shards.map((s) => s.experts));
  const isOfLevel = replica.family === family && replica.level === level.name &&
    replica.model === model;
  const isLaidOut = isDeepStrictEqual(replica.limits, layout.limits) &&
    (replica.kvDtype ?? "f32") === layout.kvDtype;
  return isOfLevel && isLaidOut && isCutRight && isShardedRight;
}
