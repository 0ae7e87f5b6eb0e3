/** Brings one replica of a level to life on a device. */
import type { ModelSpec, Range } from "../../kernels/mod.ts";
import type { ActorRef, AnyRef, System } from "../../runtime/mod.ts";
import type { LevelConfig } from "../config/mod.ts";
import type { ExpertHolder, ExpertShardArgs } from "../experts/mod.ts";
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
    vocab: deployment.spec.vocab,
  };
  const { device } = deployment.level;
  const replica = await system.spawnOn<ReplicaProtocol>(device, "replica", args, {
    id: actorId(deployment),
  });
  return { replica, parts: [...shards.map(({ ref }) => ref), ...partitions] };
}

/** Ids are parts of subjects, where a dot would separate. */
function actorId({ family, level, index }: Deployment, part?: number): string {
  const parts = [family, level.name, index, ...(part === undefined ? [] : [part])];
  return parts.join("-").replaceAll(".", "_");
}

/** A spawned shard and what it holds. */
interface Shard {
  readonly ref: AnyRef;
  readonly holder: ExpertHolder;
}

function spawnShards(system: System, deployment: Deployment): Promise<Shard[]> {
  const { level, layout, spec } = deployment;
  return inOrder(layout.expertShards, async ({ first, count }, part) => {
    const experts = Array.from({ length: count }, (_, i) => first + i);
    const holds = [{ layers: { first: 0, count: spec.layers }, experts }];
    const args: ExpertShardArgs = {
      model: level.model,
      holds,
      tokens: layout.limits.tokens,
      maxBytes: PARTITION_BYTES,
    };
    const id = actorId(deployment, part);
    const ref = await system.spawnOn(level.device, "experts", args, { id });
    return { ref, holder: { address: ref.address, holds } };
  });
}

function spawnPartitions(
  system: System,
  deployment: Deployment,
  shards: readonly Shard[],
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
        expertShards: shards.map(({ holder }) => holder),
      }),
    };
    return system.spawnOn(level.device, "partition", args, { id: actorId(deployment, part) });
  });
}

/** One at a time: loading is bound by the disk, and a failure should not leave others half way. */
async function inOrder<T>(
  ranges: readonly Range[],
  spawn: (range: Range, part: number) => Promise<T>,
): Promise<T[]> {
  const spawned: T[] = [];
  for (const [part, range] of ranges.entries()) spawned.push(await spawn(range, part));
  return spawned;
}
