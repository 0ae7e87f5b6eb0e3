import { roleOf } from "../../../runtime/mod.ts";
import type {
  ClusterStatus,
  DeviceFacts,
  NodeStatus,
  PartFacts,
  ReplicaPlacement,
} from "../../node_protocol.ts";
import type { LevelSummary, ReplicaSummary } from "../../protocol.ts";
import type { FamilyReport } from "../watch.ts";

/** A cluster as operators are shown it. */
export interface ClusterView {
  /** Who says so: the build and the node that was asked. */
  readonly version: string;
  readonly asked: string;
  /** The node that decides what runs where; `null` = none at the moment. */
  readonly leader: string | null;
  readonly epoch: number;
  readonly nodes: readonly NodeView[];
  readonly models: readonly ModelView[];
  /** Nodes that are kept out, with the reason. */
  readonly refused: Readonly<Record<string, string>>;
  /** What the cluster cannot do at the moment, one line each. */
  readonly problems: readonly string[];
  readonly health: HealthView;
}

/** A node. */
interface NodeView {
  readonly name: string;
  readonly role: string;
  readonly version: string;
  readonly draining: boolean;
  readonly devices: readonly {
    readonly name: string;
    readonly kind: string;
    readonly memory_bytes: number;
    readonly bytes_per_second: number;
  }[];
  /** Actors that it hosts for replicas, by kind. */
  readonly hosts: Readonly<Record<string, number>>;
  /** Content hashes of the models whose files it has. */
  readonly models_on_disk: readonly string[];
}

/** A level of a family, and its replicas. */
interface ModelView {
  readonly id: string;
  readonly family: string;
  readonly level: string;
  readonly model: string;
  readonly threshold: number | null;
  readonly replicas: readonly ReplicaView[];
}

/** A replica: its load, and where it is. */
interface ReplicaView {
  readonly address: string;
  readonly up: boolean;
  readonly running: number;
  readonly waiting: number;
  readonly pages_used: number;
  readonly pages_total: number;
  /** Where its layers and experts are; empty while that is not known. */
  readonly parts: readonly string[];
}

/** What is well and what is not. */
interface HealthView {
  readonly healthy: boolean;
  readonly nodes: number;
  readonly families: Readonly<Record<string, "ready" | "not ready">>;
  readonly draining: readonly string[];
}

/** All of it. */
export function viewCluster(
  status: ClusterStatus,
  families: readonly FamilyReport[],
  version: string,
): ClusterView {
  const { node, leader, epoch, refused } = status;
  return {
    ...{ version, asked: node, leader, epoch },
    nodes: nodeViews(status),
    models: modelViews(status, families),
    refused,
    problems: [...new Set(status.nodes.flatMap(({ problems }) => problems ?? []))],
    health: healthView(status, families),
  };
}

/** The nodes, by name. */
export function nodeViews({ nodes }: ClusterStatus): readonly NodeView[] {
  return nodes.map(nodeView).sort((a, b) => a.name < b.name ? -1 : 1);
}

/** The levels of all families with their replicas. */
export function modelViews(
  { nodes }: ClusterStatus,
  families: readonly FamilyReport[],
): readonly ModelView[] {
  const parts = nodes.flatMap(({ parts }) => parts);
  return families.flatMap((report) =>
    "error" in report ? [] : report.levels.map((level) => modelView(report.family, level, parts))
  );
}

/** Whether all is well. */
export function healthView(
  { nodes, leader }: ClusterStatus,
  families: readonly FamilyReport[],
): HealthView {
  const ready = families.map(({ family, ready }) =>
    [family, ready ? "ready" : "not ready"] as const
  );
  return {
    healthy: leader !== null && families.length > 0 && families.every((family) => family.ready),
    nodes: nodes.length,
    families: Object.fromEntries(ready),
    draining: nodes.filter(({ draining }) => draining).map(({ node }) => node),
  };
}

function nodeView({ node, version, draining, devices, parts, models }: NodeStatus): NodeView {
  const kinds = parts.map(({ address }) => address.split("/")[2]!);
  return {
    name: node,
    role: roleOf(node),
    version,
    draining,
    devices: devices.map(deviceView),
    hosts: Object.fromEntries(
      [...Map.groupBy(kinds, (kind) => kind)].map(([kind, all]) => [kind, all.length]),
    ),
    models_on_disk: models.map(({ hash }) => hash),
  };
}

function deviceView({ name, kind, memory, speed }: DeviceFacts): NodeView["devices"][number] {
  return { name, kind, memory_bytes: memory, bytes_per_second: Math.round(speed) };
}

function modelView(family: string, level: LevelSummary, parts: readonly PartFacts[]): ModelView {
  const { name, model, threshold, replicas } = level;
  return {
    ...{ id: `${family}/${name}`, family, level: name, model, threshold },
    replicas: replicas.map((replica) => replicaView(replica, parts)),
  };
}

function replicaView(replica: ReplicaSummary, parts: readonly PartFacts[]): ReplicaView {
  const { address, alive, running, waiting, pages: [used, total] } = replica;
  const placement = parts.find((part) => part.address === address)?.placement;
  return {
    ...{ address, up: alive, running, waiting, pages_used: used, pages_total: total },
    parts: placement === undefined ? [] : placesOf(placement),
  };
}

function placesOf({ partitions, shards }: ReplicaPlacement): string[] {
  const layers = partitions.map(({ node, device, layers: { first, count } }) =>
    `layers ${first}-${first + count - 1} on ${node}/${device}`
  );
  const experts = shards.map(({ node, device, experts }) =>
    `experts ${experts.join(",")} on ${node}/${device}`
  );
  return [...layers, ...experts];
}
