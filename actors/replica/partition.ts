import {
  type Capacity,
  type Device,
  type ExpertRequest,
  ModelPartition,
  type Range,
  type RemoteExperts,
} from "../../kernels/mod.ts";
import {
  type ActorRef,
  type AnyActorDefinition,
  defineActor,
  type System,
} from "../../runtime/mod.ts";
import { checkStep } from "../checks/mod.ts";
import { type Loaded, loadModel } from "../load_model.ts";
import type { ExpertShardProtocol, PartitionProtocol } from "../replica_protocol.ts";

/** What a partition is made of. */
export interface PartitionArgs {
  /** The model's folder. */
  readonly model: string;
  /** Layers of the model that it holds. */
  readonly layers: Range;
  /** The most that one step holds. */
  readonly capacity: Capacity;
  /** Physical pages of its KV cache. */
  readonly pages: number;
  /** Tokens a page. */
  readonly pageSize: number;
  /** How keys and values are stored. */
  readonly kvDtype: "f32" | "f16";
  /** Most bytes of device memory. */
  readonly maxBytes: number;
  /** Experts held here; absent = all. */
  readonly localExperts?: Range;
  /** Addresses of the expert shards that hold the others. */
  readonly expertShards?: readonly string[];
}

/** A kind of actor that holds layers on `device`; spawned by its kind with {@link PartitionArgs}. */
export function definePartition(device: Device): AnyActorDefinition {
  return defineActor<PartitionProtocol, Loaded<ModelPartition>, PartitionArgs>({
    kind: "partition",
    checks: { step: checkStep },
    start: (context, args) => {
      const remoteExperts = askShards(context.system, args.expertShards ?? []);
      const options = { ...args, ...(remoteExperts && { remoteExperts }) };
      return loadModel(
        device,
        args,
        (backend, spec, weights) => ModelPartition.load(backend, spec, weights, options),
      );
    },
    stop: ({ backend }) => backend.close(),
    receive: { step: ({ value: partition }, step) => partition.step(step) },
  });
}

/** Asks every shard for its part of the sum; the order of summation is that of the addresses. */
function askShards(system: System, addresses: readonly string[]): RemoteExperts | undefined {
  if (addresses.length === 0) return undefined;
  const shards: ActorRef<ExpertShardProtocol>[] = addresses.map((address) => system.ref(address));
  return async (request: ExpertRequest) => {
    const [sum, ...rest] = await Promise.all(shards.map((shard) => shard.ask("apply", request)));
    for (const part of rest) part.forEach((value, i) => sum![i]! += value);
    return sum!;
  };
}
