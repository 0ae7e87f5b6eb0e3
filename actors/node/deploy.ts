/** Brings one replica of a level to life on a device. */
import type { ModelSpec, Range } from "../../kernels/mod.ts";
import type { ActorRef, AnyRef, System } from "../../runtime/mod.ts";
import type { LevelConfig } from "../config/mod.ts";
import type { ExpertShardArgs } from "../experts/mod.ts";
import type { ReplicaProtocol } from "../replica_protocol.ts";
import { type PartitionArgs, type ReplicaArgs, stepCapacity } from "../replica/mod.ts";
import { type Layout, PARTITION_BYTES } from "./layout.ts";

/** What is deployed: one copy of a level. */
export interface Deployment {
  readonly family: string;
  readonly level: LevelConfig;
  readonly spec: ModelSpec;
  readonly layout: Layout;
  /** Which copy, from 0. */
  readonly index: number;
}

/** A running copy: the replica, and the actors that it stands on. */
export interface RunningReplica {
  readonly replica: ActorRef<ReplicaProtocol>;
  readonly parts: readonly AnyRef[];
}

/** Spawns shards, partitions and replica, in this order. Rejects with the first error. */
export async function deploy(system: System, deployment: Deployment): Promise<RunningReplica> {
  const shards = await spawnShards(system, deployment);
  const partitions = await spawnPartitions(system, deployment, shards);
  const args: ReplicaArgs = {
    partitions: partitions.map(({ address }) => address),
    limits: deployment.layout.limits,
  };
  const { device } = deployment.level;
  const replica = await system.spawnOn<ReplicaProtocol>(device, "replica", args, {
    id: actorId(deployment),
  });
  return { replica, parts: [...shards, ...partitions] };
}

/** Ids are parts of subjects, where a dot would separate. */
function actorId({ family, level, index }: Deployment, part?: number): string {
  const parts = [family, level.name, index, ...(part === undefined ? [] : [part])];
  return parts.join("-").replaceAll(".", "_");
}

function spawnShards(system: System, deployment: Deployment): Promise<AnyRef[]> {
  const { level, layout, spec } = deployment;
  return inOrder(layout.expertShards, (experts, part) => {
    const args: ExpertShardArgs = {
      model: level.model,
      layers: { first: 0, count: spec.layers },
      experts,
      tokens: layout.limits.tokens,
      maxBytes: PARTITION_BYTES,
    };
    return system.spawnOn(level.device, "experts", args, { id: actorId(deployment, part) });
  });
}

function spawnPartitions(
  system: System,
  deployment: Deployment,
  shards: readonly AnyRef[],
): Promise<AnyRef[]> {
  const { level, layout } = deployment;
  const { pages, pageSize } = layout.limits;
  return inOrder(layout.partitions, (layers, part) => {
    const args: PartitionArgs = {
      model: level.model,
      layers,
      capacity: stepCapacity(layout.limits),
      pages,
      pageSize,
      kvDtype: "f32",
      maxBytes: PARTITION_BYTES,
      ...(shards.length > 0 && {
        localExperts: { first: 0, count: 0 },
        expertShards: shards.map(({ address }) => address),
      }),
    };
    return system.spawnOn(level.device, "partition", args, { id: actorId(deployment, part) });
  });
}

/** One at a time: loading is bound by the disk, and a failure should not leave others half way. */
async function inOrder(
  ranges: readonly Range[],
  spawn: (range: Range, part: number) => Promise<AnyRef>,
): Promise<AnyRef[]> {
  const refs: AnyRef[] = [];
  for (const [part, range] of ranges.entries()) refs.push(await spawn(range, part));
  return refs;
}
