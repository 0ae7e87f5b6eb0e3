/**
 * Expert shards: some experts of a mixture, held by an actor of their own.
 * @module
 */
import { type Device, ExpertShard, type Range } from "../../kernels/mod.ts";
import { type AnyActorDefinition, defineActor } from "../../runtime/mod.ts";
import { checkExpertRequest } from "../checks/mod.ts";
import { type Loaded, loadModel } from "../load_model.ts";
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

/** A kind of actor that holds experts on `device`; spawned by its kind with {@link ExpertShardArgs}. */
export function defineExpertShard(device: Device): AnyActorDefinition {
  return defineActor<ExpertShardProtocol, Loaded<ExpertShard>, ExpertShardArgs>({
    kind: "experts",
    checks: { apply: checkExpertRequest },
    start: (_context, args) =>
      loadModel(
        device,
        args,
        (backend, spec, weights) => new ExpertShard(backend, spec, weights, args),
      ),
    stop: ({ backend }) => backend.close(),
    receive: { apply: ({ value: shard }, request) => shard.apply(request) },
  });
}
