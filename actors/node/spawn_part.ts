/** Starts the actor of one part of a replica on a device of this node. */
import type { ExpertHolding } from "../../kernels/mod.ts";
import { type ActorRef, reject, type System } from "../../runtime/mod.ts";
import type { ExpertHolder, ExpertShardArgs } from "../experts/mod.ts";
import type { HostOrder, ReplicaPlacement } from "../node_protocol.ts";
import { partId, partsOf } from "../planner/mod.ts";
import { type PartitionArgs, type ReplicaArgs, stepCapacity } from "../replica/mod.ts";
import type { Devices } from "./devices.ts";
import type { Shelf, ShelvedModel } from "./shelf.ts";

/** How long loading a part may take. */
const LOAD_DEADLINE_MS = 30 * 60_000;

/** Decode steps that a GPU is asked for in one: more save less and less of the wait for each. */
const GPU_ROUNDS = 4;

/** What parts are made from. */
export interface PartSources {
  /** The models whose files the node has. */
  readonly shelf: Shelf;
  /** What it computes with. */
  readonly devices: Devices;
}

/** Starts a part, once its device is there, and answers once it runs. Rejects with `ActorError`. */
export async function spawnPart(
  system: System,
  { shelf, devices }: PartSources,
  order: HostOrder,
): Promise<ActorRef<unknown>> {
  const { placement, part } = order;
  const model = shelf.find(placement.model) ??
    reject(`Cannot find the files of a model on ${system.node}: ${placement.model}`);
  const named = partsOf(placement).find(({ name }) =>
    name.kind === part.kind && name.index === part.index
  );
  if (named?.place.node !== system.node) {
    return reject(`Cannot host on ${system.node} what belongs elsewhere: ${named?.address}`);
  }
  const { device } = named.place;
  const options = { id: partId(placement, part), deadlineMs: LOAD_DEADLINE_MS };
  return await devices.load(
    device,
    (maxBytes) => {
      const onGpu = devices.facts.some(({ name, kind }) => name === device && kind === "gpu");
      return system.spawnOn(device, part.kind, argsOf(order, model, maxBytes, onGpu), options);
    },
  );
}

function argsOf(order: HostOrder, model: ShelvedModel, maxBytes: number, onGpu: boolean) {
  switch (order.part.kind) {
    case "replica":
      return replicaArgs(order, model, onGpu);
    case "partition":
      return { ...partitionArgs(order, model), maxBytes };
    case "experts":
      return { ...shardArgs(order, model), maxBytes };
  }
}

function replicaArgs(
  { placement, on }: HostOrder,
  { spec }: ShelvedModel,
  onGpu: boolean,
): ReplicaArgs {
  const { limits, partitions, shards } = placement;
  const isWhole = partitions.length === 1 && shards.length === 0;
  const args = { partitions: on, limits, vocab: spec.vocab };
  return onGpu && isWhole ? { ...args, rounds: GPU_ROUNDS } : args;
}

function partitionArgs(
  { placement, part, on }: HostOrder,
  model: ShelvedModel,
): Omit<PartitionArgs, "maxBytes"> {
  const { limits, kvDtype = "f32", partitions, shards } = placement;
  const holders = on.map((address, index): ExpertHolder => ({
    address,
    holds: holdings(placement, model, index),
  }));
  return {
    model: model.path,
    layers: partitions[part.index]!.layers,
    capacity: stepCapacity(limits),
    pages: limits.pages,
    pageSize: limits.pageSize,
    kvDtype,
    ...(shards.length > 0 && { localExperts: { first: 0, count: 0 }, expertShards: holders }),
  };
}

function shardArgs(
  { placement, part }: HostOrder,
  model: ShelvedModel,
): Omit<ExpertShardArgs, "maxBytes"> {
  return {
    model: model.path,
    holds: holdings(placement, model, part.index),
    tokens: placement.limits.tokens,
  };
}

function holdings(
  { shards }: ReplicaPlacement,
  { spec }: ShelvedModel,
  shard: number,
): ExpertHolding[] {
  const layers = { first: 0, count: spec.layers };
  return [{ layers, experts: [...shards[shard]?.experts ?? []] }];
}
