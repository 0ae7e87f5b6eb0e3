/** Spreads replicas of a real model over nodes or threads, part by part. */
import type { ExpertHolder, ExpertShardArgs } from "../../../actors/experts/mod.ts";
import { type PartitionArgs, type ReplicaArgs, stepCapacity } from "../../../actors/replica/mod.ts";
import type { ReplicaProtocol, WireFormat } from "../../../actors/replica_protocol.ts";
import type { ExpertHolding, Range } from "../../../kernels/mod.ts";
import { ActorError, type ActorRef, type System } from "../../../runtime/mod.ts";
import { request } from "./fleet.ts";

/** Where the parts of a replica go; places are lanes, as `node/lane` or a thread's name. */
export interface Spread {
  /** The model's folder. */
  readonly model: string;
  /** The place and the layers of each partition, first layers first; the replica goes to the first place. */
  readonly partitions: readonly (readonly [place: string, layers: Range])[];
  /** The place and the experts of each shard; none = partitions hold theirs. */
  readonly shards?: readonly (readonly [place: string, holds: readonly ExpertHolding[]])[];
  /** How activations travel. */
  readonly wire?: WireFormat;
}

/** A replica with its parts, to be stopped one by one. */
export interface SpreadReplica {
  /** The replica. */
  readonly ref: ActorRef<ReplicaProtocol>;
  /** Addresses of its partitions. */
  readonly partitions: readonly string[];
  /** Addresses of its shards. */
  readonly shards: readonly string[];
}

/** Limits of all replicas. */
export const limits = {
  tokens: 32,
  sequences: 16,
  waiting: 64,
  context: 512,
  pages: 200,
  pageSize: 16,
} as const;

const maxBytes = 2 ** 26;

/** Brings a replica up; `id` tells it from others on the same places. */
export async function spread(system: System, id: string, layout: Spread): Promise<SpreadReplica> {
  const { model, wire = "f32" } = layout;
  const expertShards: ExpertHolder[] = [];
  for (const [i, [place, holds]] of (layout.shards ?? []).entries()) {
    const args: ExpertShardArgs = { model, holds, tokens: limits.tokens, maxBytes };
    const { address } = await system.spawnOn(place, "experts", args, { id: `${id}-${i}` });
    expertShards.push({ address, holds });
  }
  const partitions: string[] = [];
  for (const [i, [place, layers]] of layout.partitions.entries()) {
    const args: PartitionArgs = {
      model,
      layers,
      capacity: stepCapacity(limits),
      pages: limits.pages,
      pageSize: limits.pageSize,
      kvDtype: "f32",
      maxBytes,
      wire,
      ...(expertShards.length > 0 && { expertShards, localExperts: { first: 0, count: 0 } }),
    };
    const { address } = await system.spawnOn(place, "partition", args, { id: `${id}-${i}` });
    partitions.push(address);
  }
  const args: ReplicaArgs = { partitions, limits };
  const ref = await system.spawnOn<ReplicaProtocol>(layout.partitions[0]![0], "replica", args, {
    id,
  });
  return { ref, partitions, shards: expertShards.map(({ address }) => address) };
}

/** Greedy ids after a prompt, from whichever replicas it takes; `onToken` sees how many there are so far. */
export async function greedyFrom(
  replicas: readonly SpreadReplica[],
  prompt: readonly number[],
  maxTokens: number,
  onToken: (count: number) => void | Promise<void> = () => {},
): Promise<number[]> {
  const ids: number[] = [];
  for (const { ref } of replicas) {
    const resumed = { ids: Int32Array.from([...prompt, ...ids]) };
    try {
      for await (
        const { id } of ref.stream("generate", request(prompt, maxTokens, resumed))
      ) {
        ids.push(id);
        await onToken(ids.length);
      }
      return ids;
    } catch (error) {
      if (!(error instanceof ActorError && ["Terminated", "Moved"].includes(error.code))) {
        throw error;
      }
    }
  }
  throw new Error(`Cannot generate on after tokens: ${ids.length}`);
}
