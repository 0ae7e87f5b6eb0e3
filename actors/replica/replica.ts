import { createStep, type StepBuffer, type StepResult, TOP_LOGPROBS } from "../../kernels/mod.ts";
import {
  ActorError,
  type ActorRef,
  type AnyActorDefinition,
  type Context,
  defineActor,
  reject,
} from "../../runtime/mod.ts";
import { checkReplicaRequest } from "../checks/mod.ts";
import type {
  PartitionProtocol,
  ReplicaLoad,
  ReplicaProtocol,
  ReplicaRequest,
  SampledToken,
} from "../replica_protocol.ts";
import { fillStep } from "./batch.ts";
import { type Chunk, Scheduler } from "./scheduler.ts";
import { Sequence } from "./sequence.ts";
import { TokenQueue } from "./token_queue.ts";

/** What a replica is made of. */
export interface ReplicaArgs {
  /** Addresses of its partitions, first layers first. */
  readonly partitions: readonly string[];
  /** Bounds of its batch, its queue and its cache. */
  readonly limits: ReplicaLimits;
}

/** Bounds of a replica. */
export interface ReplicaLimits {
  /** Tokens a step: decodes and prefill chunks together. */
  readonly tokens: number;
  /** Sequences that run together. */
  readonly sequences: number;
  /** Requests that may wait; more are refused with `Overloaded`. */
  readonly waiting: number;
  /** Tokens of one sequence, prompt and output. */
  readonly context: number;
  /** Physical pages of the KV cache. */
  readonly pages: number;
  /** Tokens a page. */
  readonly pageSize: number;
}

/** What the replica tells itself: compute the next step. */
interface ReplicaTurns extends ReplicaProtocol {
  advance(): void;
}

interface ReplicaState {
  readonly limits: ReplicaLimits;
  readonly partitions: readonly ActorRef<PartitionProtocol>[];
  readonly scheduler: Scheduler;
  readonly step: StepBuffer;
  readonly sequences: Set<Sequence>;
  advancing: boolean;
  steps: number;
  tokens: number;
  busyMs: number;
}

/** Asks a replica that is overloaded again after this long. */
const RETRY_AFTER_MS = 1000;

/** A step that takes longer has hung. */
const STEP_DEADLINE_MS = 120_000;

/** One running copy of a level: continuous batching over its partitions, one turn a step. Spawned by its kind. */
export const Replica: AnyActorDefinition = defineActor<ReplicaTurns, ReplicaState, ReplicaArgs>({
  kind: "replica",
  checks: { generate: checkReplicaRequest },
  start: (context, { partitions, limits }) => ({
    limits,
    partitions: partitions.map((address) => context.system.ref<PartitionProtocol>(address)),
    scheduler: new Scheduler(limits),
    step: createStep(stepCapacity(limits)),
    sequences: new Set<Sequence>(),
    advancing: false,
    steps: 0,
    tokens: 0,
    busyMs: 0,
  }),
  stop: (state) => {
    const error = new ActorError(
      "Terminated",
      "Cannot go on with a generation: the replica stopped",
    );
    for (const sequence of state.sequences) sequence.sink.close(error);
  },
  receive: {
    async *generate(state, request, context) {
      refuseImpossible(state, request);
      const queue = new TokenQueue();
      const sequence = new Sequence(request, queue, state.limits.context);
      const cancel = () => queue.close();
      context.signal.addEventListener("abort", cancel, { once: true });
      state.sequences.add(sequence);
      state.scheduler.submit(sequence);
      wake(state, context);
      try {
        yield* queue;
      } finally {
        context.signal.removeEventListener("abort", cancel);
        sequence.cancelled = true;
        state.sequences.delete(sequence);
      }
    },
    status: ({ scheduler, steps, tokens, busyMs }): ReplicaLoad => ({
      running: scheduler.running.length,
      waiting: scheduler.waiting,
      pages: [scheduler.pool.used, scheduler.pool.total],
      steps,
      tokens,
      preemptions: scheduler.preemptions,
      busyMs,
    }),
    async advance(state, _message, context) {
      const chunks = state.scheduler.plan();
      if (chunks.length === 0) {
        state.advancing = false;
        return;
      }
      const started = context.clock.monotonic();
      const sampled = fillStep(state.step, chunks, sequencePages(state.limits));
      const result = await runStep(state);
      for (const chunk of chunks) state.scheduler.advance(chunk);
      sampled.forEach((chunk, row) => commit(state, chunk, result, row));
      state.steps++;
      state.tokens += state.step.tokens;
      state.busyMs += context.clock.monotonic() - started;
      await letEventsIn();
      context.self.tell("advance");
    },
  },
});

/** The most that a step of these limits can hold. */
export function stepCapacity(limits: ReplicaLimits): Parameters<typeof createStep>[0] {
  return {
    tokens: limits.tokens,
    samples: limits.sequences,
    sequences: limits.sequences,
    sequencePages: sequencePages(limits),
    history: limits.pages * limits.pageSize,
  };
}

function sequencePages({ context, pageSize }: ReplicaLimits): number {
  return Math.ceil(context / pageSize);
}

function refuseImpossible({ limits, scheduler }: ReplicaState, request: ReplicaRequest): void {
  const length = request.ids.length;
  if (length === 0 || length >= limits.context) {
    reject(`Cannot generate within a context of ${limits.context} tokens after: ${length}`);
  }
  if (scheduler.waiting >= limits.waiting) {
    throw new ActorError("Overloaded", `Cannot queue more than ${limits.waiting} requests`, {
      retryAfterMs: RETRY_AFTER_MS,
    });
  }
}

function wake(state: ReplicaState, context: Context<ReplicaTurns>): void {
  if (state.advancing) return;
  state.advancing = true;
  context.self.tell("advance");
}

/**
 * Passes a step through all partitions in turn. A partition that fails has lost its cache, so the replica
 * crashes with it and starts anew: an `ActorError` would only refuse the turn.
 */
async function runStep({ partitions, step }: ReplicaState): Promise<StepResult> {
  try {
    const [first, ...rest] = partitions;
    let result = await first!.ask("step", step, { deadlineMs: STEP_DEADLINE_MS });
    for (const partition of rest) {
      const next = { ...step, hidden: result.hidden! };
      result = await partition.ask("step", next, { deadlineMs: STEP_DEADLINE_MS });
    }
    return result;
  } catch (cause) {
    throw new Error(`Cannot compute a step: ${(cause as Error).message}`, { cause });
  }
}

function commit(state: ReplicaState, { sequence }: Chunk, result: StepResult, row: number): void {
  const id = result.sampled[row]!;
  const finish = sequence.append(id);
  const token: SampledToken = {
    id,
    logprob: result.stats[row * 4]!,
    margin: result.stats[row * 4 + 1]!,
    entropy: result.stats[row * 4 + 2]!,
    ...(sequence.request.alternatives > 0 && { top: alternatives(result, row, sequence) }),
    ...(finish && { finish }),
  };
  sequence.sink.push(token);
  if (!finish) return;
  state.scheduler.finish(sequence);
  sequence.sink.close();
}

function alternatives(
  result: StepResult,
  row: number,
  { request }: Sequence,
): SampledToken["top"] & object {
  return Array.from({ length: request.alternatives }, (_, rank) => ({
    id: result.topTokens![row * TOP_LOGPROBS + rank]!,
    logprob: result.topLogprobs![row * TOP_LOGPROBS + rank]!,
  }));
}

/** Lets messages and timers of this isolate run between two steps, so that a cancellation is seen. */
function letEventsIn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
