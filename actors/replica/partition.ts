import {
  type Capacity,
  type Device,
  type KvDType,
  ModelPartition,
  type Range,
  type Step,
  type StepResult,
} from "../../kernels/mod.ts";
import {
  ActorError,
  type AnyActorDefinition,
  type Context,
  defineActor,
} from "../../runtime/mod.ts";
import { checkHiddenStates, checkPartitionStep, checkVocabulary } from "../checks/mod.ts";
import { askShards, type ExpertHolder } from "../experts/mod.ts";
import { loadModel } from "../load_model.ts";
import { refusing } from "../refusing.ts";
import type { PartitionProtocol, PartitionStep, WireFormat } from "../replica_protocol.ts";
import { fromWire, toWire } from "../wire.ts";
import { HiddenInbox } from "./hidden_inbox.ts";
import { type Cancellable, Turns } from "./turns.ts";

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
  readonly kvDtype: KvDType;
  /** Most bytes of device memory. */
  readonly maxBytes: number;
  /** Experts held here; absent = all. */
  readonly localExperts?: Range;
  /** The expert shards that hold the others. */
  readonly expertShards?: readonly ExpertHolder[];
  /** How activations leave it, for the next partition and for shards; `f32` by default. */
  readonly wire?: WireFormat;
}

/** A range of layers as its actor sees it. Steps do not overlap. */
export interface LoadedPartition {
  /** Whether it embeds token ids; if not, it waits for hidden states. */
  readonly first: boolean;
  /** Computes a step; the last partition answers with samples, others with `hidden`. */
  step(step: Step, request: Cancellable): Promise<StepResult>;
  /** Frees its memory. */
  close(): void;
}

/** Loads what a partition computes with. */
export type LoadPartition = (context: Context, args: PartitionArgs) => Promise<LoadedPartition>;

/** Steps that may wait at a partition; replicas keep no more than a few in flight. */
const MOST_STEPS = 64;

interface PartitionState {
  readonly partition: LoadedPartition;
  readonly wire: WireFormat;
  readonly inbox: HiddenInbox;
  readonly turns: Turns;
}

/** A kind of actor that holds layers on `device`; spawned by its kind with {@link PartitionArgs}. */
export function definePartition(device: Device): AnyActorDefinition {
  return definePartitionOf(async ({ system }, args) => {
    const asks = (args.expertShards ?? []).length > 0;
    const { backend, value } = await loadModel(device, args, (backend, spec, weights) => {
      const remoteExperts = askShards(system, spec, args);
      const options = { ...args, ...(remoteExperts && { remoteExperts }) };
      return ModelPartition.load(backend, spec, weights, options);
    });
    return {
      first: value.first,
      step: async (step, request) =>
        await value.step(
          checkVocabulary(step, value.spec.vocab),
          asks ? request.signal : undefined,
        ),
      close: () => backend.close(),
    };
  });
}

/** A kind of actor that holds whatever `load` loads; for models that do not come from a checkpoint. */
export function definePartitionOf(load: LoadPartition): AnyActorDefinition {
  return defineActor<PartitionProtocol, PartitionState, PartitionArgs>({
    kind: "partition",
    checks: { step: checkPartitionStep, hidden: checkHiddenStates },
    concurrent: ["step"],
    start: async (context, args) => ({
      partition: await load(context as Context, args),
      wire: args.wire ?? "f32",
      inbox: new HiddenInbox(),
      turns: new Turns(),
    }),
    stop: ({ partition }) => partition.close(),
    receive: {
      step: computeStep,
      hidden: ({ inbox }, { id, hidden }) => inbox.put(id, hidden),
    },
  });
}

async function computeStep(
  { partition, inbox, turns, wire }: PartitionState,
  { id, step, next }: PartitionStep,
  context: Context<PartitionProtocol>,
): Promise<StepResult | null> {
  if (turns.length + inbox.waiting >= MOST_STEPS) {
    throw new ActorError("Overloaded", `Cannot queue more than ${MOST_STEPS} steps`);
  }
  const arrived = partition.first ? undefined : await inbox.take(id, context.signal);
  const whole = arrived ? { ...step, hidden: fromWire(arrived) } : step;
  return await turns.run(async () => {
    const result = await refusing(partition.step(whole, context));
    if (next === undefined) return result;
    const hidden = toWire(result.hidden!, wire);
    const options = { deadline: context.deadline, transfer: [hidden.buffer] };
    context.system.ref<PartitionProtocol>(next).tell("hidden", { id, hidden }, options);
    return null;
  }, context);
}
