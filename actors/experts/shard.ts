import { type Device, type ExpertHolding, ExpertShard } from "../../kernels/mod.ts";
import { type AnyActorDefinition, defineActor } from "../../runtime/mod.ts";
import { checkShardRequest } from "../checks/mod.ts";
import { type Loaded, loadModel } from "../load_model.ts";
import { refusing } from "../refusing.ts";
import type { ExpertShardProtocol } from "../replica_protocol.ts";
import { fromWire, toWire } from "../wire.ts";

/** What an expert shard is made of. */
export interface ExpertShardArgs {
  /** The model's folder. */
  readonly model: string;
  /** Its experts, in ranges of layers that do not overlap. */
  readonly holds: readonly ExpertHolding[];
  /** Most tokens of one request. */
  readonly tokens: number;
  /** Most bytes of device memory. */
  readonly maxBytes: number;
}

/** What may wait at a shard that many partitions ask: each has one request on its way. */
const MAILBOX_BYTES = 256 * 2 ** 20;

/** A kind of actor that holds experts on `device`; spawned by its kind with {@link ExpertShardArgs}. */
export function defineExpertShard(device: Device): AnyActorDefinition {
  return defineActor<ExpertShardProtocol, Loaded<ExpertShard>, ExpertShardArgs>({
    kind: "experts",
    checks: { apply: checkShardRequest },
    mailbox: { bytes: MAILBOX_BYTES },
    start: (_context, args) =>
      loadModel(
        device,
        args,
        (backend, spec, weights) => new ExpertShard(backend, spec, weights, args),
      ),
    stop: ({ backend }) => backend.close(),
    receive: {
      async apply({ value: shard }, request, context) {
        const sum = await refusing(shard.apply({ ...request, x: fromWire(request.x) }));
        const answer = toWire(sum, request.x instanceof Float32Array ? "f32" : "f16");
        context.move([answer.buffer]);
        return answer;
      },
    },
  });
}
