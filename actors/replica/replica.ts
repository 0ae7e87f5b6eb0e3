import type { StepResult } from "../../kernels/mod.ts";
import {
  ActorError,
  type AnyActorDefinition,
  type Context,
  defineActor,
  reject,
  settledWithin,
} from "../../runtime/mod.ts";
import { checkReplicaRequest } from "../checks/mod.ts";
import type { ReplicaLoad, ReplicaProtocol, ReplicaRequest } from "../replica_protocol.ts";
import { version } from "../version.ts";
import { Batcher } from "./batch.ts";
import type { ReplicaLimits } from "./limits.ts";
import { countDevices, Pipeline } from "./pipeline.ts";
import { sampledToken } from "./sampled_token.ts";
import { Scheduler } from "./scheduler.ts";
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
  /**
   * Most decode steps that are asked for in one, where the wait for each would cost: of a single partition on a GPU.
   * 1 by default. Their tokens come together.
   */
  readonly rounds?: number;
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
  /** Streams that are being read; each is settled when its reader has all of it or has left. */
  readonly streams: Set<Promise<void>>;
}

/** Asks a replica that is overloaded again after this long. */
const RETRY_AFTER_MS = 1000;

/** How long a drained replica stays for those who read slowly; later ones start again from what they have. */
const READERS_MS = 2000;

/** Tokens of decode steps that are asked for in one may come together if all of them take no longer. */
const BURST_MS = 10;

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
      streams: new Set(),
    };
  },
  receive: {
    async *generate(state, request, context) {
      refuseImpossible(state, request);
      const queue = new TokenQueue();
      const sequence = new Sequence(request, queue, state.args.limits.context);
      const cancel = () => queue.close();
      context.signal.addEventListener("abort", cancel, { once: true });
      const { promise: ended, resolve: end } = Promise.withResolvers<void>();
      state.streams.add(ended);
      state.scheduler.submit(sequence);
      wake(state, context);
      try {
        yield* queue;
      } finally {
        context.signal.removeEventListener("abort", cancel);
        sequence.cancelled = true;
        state.streams.delete(ended);
        end();
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
    async drain(state, _message, { clock }) {
      state.draining ??= Promise.withResolvers();
      moveAway(state);
      if (state.active === 0) state.draining.resolve();
      await state.draining.promise;
      await settledWithin(clock, READERS_MS, [...state.streams]);
    },
    async advance(state, _message, context) {
      try {
        const batcher = new Batcher();
        for (let plan = next(state); plan.length > 0; plan = next(state)) {
          await computeStep(state, batcher, plan);
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
function next(state: ReplicaState): Sequence[] {
  if (!state.draining) return state.scheduler.plan();
  moveAway(state);
  return [];
}

/** Ends all that is not in flight. */
function moveAway({ scheduler }: ReplicaState): void {
  for (const { sink } of scheduler.evict()) sink.close(moved());
}

async function computeStep(
  state: ReplicaState,
  batcher: Batcher,
  plan: readonly Sequence[],
): Promise<void> {
  const { scheduler, meter, pipeline } = state;
  const rounds = scheduler.roundsOf(plan, mostRounds(state));
  const { step, sampled } = batcher.batchOf(plan, rounds);
  meter.begin();
  const result = await pipeline.run(step);
  for (const sequence of plan) scheduler.advance(sequence);
  for (let row = 0; row < result.sampled.length; row++) {
    const sequence = sampled[row % sampled.length]!;
    if (sequence.finished) continue;
    if (row >= sampled.length) scheduler.advance(sequence, 1);
    commit(state, sequence, result, row);
  }
  meter.end(step.tokens * rounds, rounds);
  await letEventsIn();
}

/** As many as take no longer than a reader would notice, if the last one is a measure. */
function mostRounds({ args: { rounds = 1 }, meter }: ReplicaState): number {
  return Math.max(1, Math.min(rounds, Math.floor(BURST_MS / meter.roundMs)));
}

function commit(state: ReplicaState, sequence: Sequence, result: StepResult, row: number): void {
  const { scheduler } = state;
  const { alternatives } = sequence.request;
  const finish = sequence.append(result.sampled[row]!);
  const queue = scheduler.running.length + scheduler.waiting;
  sequence.sink.push(sampledToken(result, row, { alternatives, queue, finish }));
  if (!finish) return;
  scheduler.finish(sequence);
  sequence.sink.close();
}
