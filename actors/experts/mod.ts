/**
 * Expert shards: some experts of a mixture, held by an actor of their own.
 * @module
 */
import {
  type Backend,
  type Device,
  ExpertShard,
  openModel,
  parseModelSpec,
  type Range,
} from "../../kernels/mod.ts";
import { type AnyActorDefinition, defineActor } from "../../runtime/mod.ts";
import type { ExpertShardProtocol } from "../replica_protocol.ts";

/** What an expert shard is made of. */
export interface ExpertShardArgs {
  /** The model's folder. */
  readonly model: string;
  /** Layers of the model that it serves. */
  readonly layers: Range;
  /** Experts that it holds, in each of the layers. */
  readonly experts: Range;
  /** Most tokens of one request. */
  readonly tokens: number;
  /** Most bytes of device memory. */
  readonly maxBytes: number;
}

interface ExpertShardState {
  readonly backend: Backend;
  readonly shard: ExpertShard;
}

/** A kind of actor that holds experts on `device`; spawned by its kind with {@link ExpertShardArgs}. */
export function defineExpertShard(device: Device): AnyActorDefinition {
  return defineActor<ExpertShardProtocol, ExpertShardState, ExpertShardArgs>({
    kind: "experts",
    start: async (_context, args) => {
      const folder = openModel(args.model);
      const backend = await device.createBackend(args.maxBytes);
      try {
        const shard = new ExpertShard(backend, parseModelSpec(folder.config), folder.weights, args);
        return { backend, shard };
      } catch (error) {
        backend.close();
        throw error;
      } finally {
        folder.close();
      }
    },
    stop: ({ backend }) => backend.close(),
    receive: { apply: ({ shard }, request) => shard.apply(request) },
  });
}
