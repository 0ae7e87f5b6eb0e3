import type { StepResult } from "../../kernels/mod.ts";
import {
  ActorError,
  type AnyActorDefinition,
  type Context,
  defineActor,
  reject,
} from "../../runtime/mod.ts";
import { checkReplicaRequest } from "../checks/mod.ts";
import type { ReplicaLoad, ReplicaProtocol, ReplicaRequest } from "../replica_protocol.ts";
import { version } from "../version.ts";
import { batchOf } from "./batch.ts";
import type { ReplicaLimits } from "./limits.ts";
import { countDevices, Pipeline } from "./pipeline.ts";
import { sampledToken } from "./sampled_token.ts";
import { type Chunk, Scheduler } from "./scheduler.ts";
import { Sequence } from "./sequence.ts";
import { StepMeter } from "./step_meter.ts";
import { TokenQueue } from "./token_queue.ts";
import { letEventsIn } from "./turns.ts";

/** What a replica is made of. */
export interface ReplicaArgs {
  /** Addresses of its partitions, first layers first. */
  readonly partitions: readonly string[];
  /** Bounds of its batch, its queue and its cache. */
  readonly limits: ReplicaLimits;
  /** Micro-batches in flight together; by default as many as its partitions have different devices. */
  readonly microBatches?: number;
  /** Token ids are below it; absent = not checked. */
  readonly vocab?: number;
}

/** What the replica tells itself: compute a micro-batch step after step until there is nothing to do. */
interface ReplicaTurns extends ReplicaProtocol {
  advance(): void;
}

interface ReplicaState {
  readonly args: ReplicaArgs;
  readonly scheduler: Scheduler;
  readonly pipeline: Pipeline;
  readonly meter: StepMeter;
  readonly microBatches: number;
  /** Micro-batches that `advance` works on or is about to. */
  active: number;
  /** Resolved when the last sequence has left; absent while requests are taken. */
  draining: PromiseWithResolvers<void> | undefined;
}

/** Asks a replica that is overloaded again after this long. */
const RETRY_AFTER_MS = 1000;

/**
 * One running copy of a level: continuous batching over its partitions, with one micro-batch in flight for each
 * device that they lie on. Spawned by its kind with {@link ReplicaArgs}.
 */
export const Replica: AnyActorDefinition = defineActor<ReplicaTurns, ReplicaState, ReplicaArgs>({
  kind: "replica",
  checks: { generate: checkReplicaRequest },
  concurrent: ["advance", "drain"],
  start: (context, args) => {
    const microBatches = args.microBatches ?? countDevices(args.partitions);
    return {
      args,
      microBatches,
      scheduler: new Scheduler({ ...args.limits, microBatches }),
      pipeline: new Pipeline(context as Context, args.partitions),
      meter: new StepMeter(context.clock),
      active: 0,
      draining: undefined,
    };
  },
  receive: {
    async *generate(state, request, context) {
      refuseImpossible(state, request);
      const queue = new TokenQueue();
      const sequence = new Sequence(request, queue, state.args.limits.context);
      const cancel = () => queue.close();
      context.signal.addEventListener("abort", cancel, { once: true });
      state.scheduler.submit(sequence);
      wake(state, context);
      try {
        yield* queue;
      } finally {
        context.signal.removeEventListener("abort", cancel);
        sequence.cancelled = true;
      }
    },
    status: ({ scheduler, meter, microBatches, draining }): ReplicaLoad => ({
      version,
      draining: draining !== undefined,
      running: scheduler.running.length,
      waiting: scheduler.waiting,
      pages: [scheduler.pool.used, scheduler.pool.total],
      microBatches: [meter.inFlight, microBatches],
      steps: meter.steps,
      tokens: meter.tokens,
      preemptions: scheduler.preemptions,
      busyMs: meter.busyMs,
    }),
    async drain(state) {
      state.draining ??= Promise.withResolvers();
      moveAway(state);
      if (state.active === 0) state.draining.resolve();
      await state.draining.promise;
    },
    async advance(state, _message, context) {
      try {
        for (let chunks = next(state); chunks.length > 0; chunks = next(state)) {
          await computeStep(state, chunks);
          wake(state, context);
        }
      } finally {
        state.active--;
      }
      if (state.active === 0) state.draining?.resolve();
    },
  },
});

function refuseImpossible({ args, scheduler, draining }: ReplicaState, request: ReplicaRequest) {
  const { limits: { context, waiting }, vocab = Infinity } = args;
  const length = request.ids.length;
  if (length === 0 || length >= context) {
    reject(`Cannot generate within a context of ${context} tokens after: ${length}`);
  }
  const stranger = request.ids.find((id) => id < 0 || id >= vocab);
  if (stranger !== undefined) {
    reject(`Cannot go on from a token outside a vocabulary of ${vocab}: ${stranger}`);
  }
  if (draining) throw moved();
  if (scheduler.waiting >= waiting) {
    throw new ActorError("Overloaded", `Cannot queue more than ${waiting} requests`, {
      retryAfterMs: RETRY_AFTER_MS,
    });
  }
}

function moved(): ActorError {
  return new ActorError("Moved", "Cannot go on with a generation: the replica is draining");
}

/** Sets every idle micro-batch to work. */
function wake(state: ReplicaState, context: Context<ReplicaTurns>): void {
  for (; state.active < state.microBatches; state.active++) context.self.tell("advance");
}

/** What a micro-batch computes next: nothing when the replica drains. */
function next(state: ReplicaState): Chunk[] {
  if (!state.draining) return state.scheduler.plan();
  moveAway(state);
  return [];
}

/** Ends all that is not in flight. */
function moveAway({ scheduler }: ReplicaState): void {
  for (const { sink } of scheduler.evict()) sink.close(moved());
}

async function computeStep(state: ReplicaState, chunks: readonly Chunk[]): Promise<void> {
  const { step, sampled } = batchOf(chunks);
  state.meter.begin();
  const result = await state.pipeline.run(step);
  for (const chunk of chunks) state.scheduler.advance(chunk);
  sampled.forEach((chunk, row) => commit(state, chunk, result, row));
  state.meter.end(step.tokens);
  await letEventsIn();
}

function commit(state: ReplicaState, { sequence }: Chunk, result: StepResult, row: number): void {
  const { scheduler } = state;
  const { alternatives } = sequence.request;
  const finish = sequence.append(result.sampled[row]!);
  const queue = scheduler.running.length + scheduler.waiting;
  sequence.sink.push(sampledToken(result, row, { alternatives, queue, finish }));
  if (!finish) return;
  scheduler.finish(sequence);
  sequence.sink.close();
}
