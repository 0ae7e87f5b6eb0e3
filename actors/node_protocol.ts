/**
 * The closed family of messages to and from nodes, and what nodes announce of themselves. All are plain
 * data.
 */
import type { KvDType, Range } from "../kernels/mod.ts";
import { roleOf } from "../runtime/mod.ts";
import type { LevelConfig } from "./config/mod.ts";
import type { ReplicaLimits } from "./replica/mod.ts";

/** A device of one node. */
export interface Place {
  /** The node's name. */
  readonly node: string;
  /** The device's name on its node. */
  readonly device: string;
}

/** Layers of a replica, and where they are. */
export interface PartitionPlacement extends Place {
  /** Which of the model's layers. */
  readonly layers: Range;
}

/** Experts of a replica, and where they are. */
export interface ShardPlacement extends Place {
  /** Which of the model's experts, in every layer. */
  readonly experts: readonly number[];
}

/** One copy of a level: everything that is needed to bring it up, or to find what is left of it. */
export interface ReplicaPlacement {
  /** Never used twice: a part of a former placement is never taken for one of a later. */
  readonly id: string;
  /** The family's name. */
  readonly family: string;
  /** The level's name. */
  readonly level: string;
  /** Content hash of the model. */
  readonly model: string;
  /** Bounds of the replica. */
  readonly limits: ReplicaLimits;
  /** How keys and values are stored; absent = `f32`. */
  readonly kvDtype?: KvDType;
  /** Where the replica's own actor is. */
  readonly host: Place;
  /** Its partitions, first layers first. */
  readonly partitions: readonly PartitionPlacement[];
  /** Its expert shards; empty = the partitions hold the experts. */
  readonly shards: readonly ShardPlacement[];
}

/** A device as its node announces it. */
export interface DeviceFacts {
  /** Its name on the node. */
  readonly name: string;
  /** What computes, such as `cpu`. */
  readonly kind: string;
  /** Bytes that models and their caches may take. */
  readonly memory: number;
  /** Bytes of weights that it multiplies a vector with in a second, as measured at its start. */
  readonly speed: number;
}

/** A model whose files a node has, as far as its placement needs it. */
export interface ModelFacts {
  /** Content hash. */
  readonly hash: string;
  /** Number of layers. */
  readonly layers: number;
  /** Experts of a sparse layer; 0 = a dense model. */
  readonly experts: number;
  /** Bytes of all weights. */
  readonly weightBytes: number;
  /** Bytes of one expert over all layers. */
  readonly expertBytes: number;
  /** Bytes of keys and values of one token over all layers, in `f32`. */
  readonly tokenBytes: number;
  /** Longest sequence. */
  readonly maxPositions: number;
}

/** A level as the cluster serves it. */
export interface LevelFacts {
  /** What its configuration says. */
  readonly config: LevelConfig;
  /** Content hash of its model. */
  readonly model: string;
  /** Least confidence that accepts an answer; `null` accepts all. */
  readonly threshold: number | null;
  /** Whether the cascade visits it. */
  readonly used: boolean;
}

/** A family as the cluster serves it. Nodes pass on what they know, and the latest word counts. */
export interface FamilyFacts {
  /** Its name. */
  readonly name: string;
  /** When the node that brought it started, in milliseconds since the epoch. */
  readonly since: number;
  /** Whether nobody asked for it: it gives way to any other. */
  readonly bundled: boolean;
  /** Quantile of the token log-probabilities that is the confidence. */
  readonly q: number;
  /** Small to giant. */
  readonly levels: readonly LevelFacts[];
  /** Set when an operator has removed it: it is served no more until a node brings it anew. */
  readonly removed?: true;
}

/** An actor that a node hosts for a replica. */
export interface PartFacts {
  /** The actor's address. */
  readonly address: string;
  /** The placement that it belongs to. */
  readonly replica: string;
  /** The whole placement; only the replica's own actor carries it. */
  readonly placement?: ReplicaPlacement;
}

/** What a node announces of itself. */
export interface NodeFacts {
  /** What it computes with. */
  readonly devices: readonly DeviceFacts[];
  /** The models whose files it has. */
  readonly models: readonly ModelFacts[];
  /** The families that it knows of. */
  readonly families: readonly FamilyFacts[];
  /** What it hosts. */
  readonly parts: readonly PartFacts[];
  /** Grows with each change of its parts or devices. */
  readonly revision: number;
  /** Whether it takes no more work and waits for its parts to be moved. */
  readonly draining: boolean;
  /** What its planner cannot do, and what keeps it from planning, one line each. */
  readonly problems?: readonly string[];
  /**
   * Levels that its planner brings up replicas of, as `family/level`, while it is the one that decides; absent
   * while it does not know yet.
   */
  readonly coming?: readonly string[];
}

/** An order to host one part of a replica. */
export interface HostOrder {
  /** Epoch of the planner that gives it; earlier ones are refused. */
  readonly epoch: number;
  /** The whole placement. */
  readonly placement: ReplicaPlacement;
  /** Which part of it, by kind and position. */
  readonly part: PartName;
  /** Addresses of what the part stands on: a replica's partitions, a partition's expert shards. */
  readonly on: readonly string[];
}

/** One part of a replica. */
export interface PartName {
  /** The actor's kind. */
  readonly kind: "replica" | "partition" | "experts";
  /** Its position among the partitions or shards; 0 for the replica. */
  readonly index: number;
}

/** What became of an order to host a part. */
export interface HostedPart {
  /** The actor's address. */
  readonly address: string;
  /** The node's revision from which on it announces the part. */
  readonly revision: number;
}

/** An order to stop all parts of a replica. */
export interface UnhostOrder {
  /** Epoch of the planner that gives it; earlier ones are refused. */
  readonly epoch: number;
  /** The placement's id. */
  readonly replica: string;
  /** Whether the replica is to hand over what it is at first; absent = no. */
  readonly drain?: boolean;
}

/** A node. */
export interface NodeProtocol {
  /** Starts a part, and answers once it runs. Refuses with `Moved` the order of a former planner. */
  host(order: HostOrder): HostedPart;
  /** Stops all parts of a placement, the replica itself first. */
  unhost(order: UnhostOrder): void;
  /** Takes no more work, and answers once all that it hosts has been moved away. */
  drain(): void;
  /** The cluster as this node sees it. */
  status(): ClusterStatus;
}

/** One node of a cluster, as another sees it. */
export interface NodeStatus extends NodeFacts {
  /** Its name. */
  readonly node: string;
  /** Its build. */
  readonly version: string;
}

/** A cluster, as one of its nodes sees it. */
export interface ClusterStatus {
  /** The node that says so. */
  readonly node: string;
  /** The node whose planner decides; `null` = none at the moment. */
  readonly leader: string | null;
  /** Epoch of the planner that decides, or that last did. */
  readonly epoch: number;
  /** All members, the node itself first. */
  readonly nodes: readonly NodeStatus[];
  /** Nodes that are heard but kept out, with the reason. */
  readonly refused: Readonly<Record<string, string>>;
}

/** Roles whose nodes only do as they are told. */
const followers: ReadonlySet<string> = new Set(["worker", "edge"]);

/** Whether a node may plan, bring families and run routers: its role, which the server vouches for, says so. */
export function mayLead(node: string): boolean {
  return !followers.has(roleOf(node));
}

/** The id of a node's own actor; its kind is `node`. */
export const nodeId = "node";

/** The address of a node's own actor. */
export function nodeAddress(node: string): string {
  return `${node}/main/node/${nodeId}`;
}
