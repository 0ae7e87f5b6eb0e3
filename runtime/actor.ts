import type { Clock } from "./clock.ts";
import type { Rng } from "./rng.ts";
import type { Logger } from "./telemetry/mod.ts";
import type { Store } from "./store/mod.ts";
import type { ActorRef, AnyRef, Movable, TerminationReason } from "./ref.ts";
import type { ItemOf, MessageOf, Protocol, ReplyOf, StreamName } from "./protocol.ts";
import type { DeadLetters } from "./dead_letters.ts";
import type { Thread } from "./transport/mod.ts";
import { checkName } from "./address.ts";

/** How much may wait in a mailbox. What is over either bound is refused with `Overloaded`. */
export interface MailboxLimits {
  /** The most messages that wait. */
  readonly messages: number;
  /** The most bytes that wait, as roughly measured. */
  readonly bytes: number;
  /** The hint that goes with `Overloaded`; 25 ms by default. */
  readonly retryAfterMs?: number;
}

/** How many restarts within which time; one more and the actor terminates. */
export interface Supervision {
  /** Restarts that are allowed within `withinMs`. */
  readonly restarts: number;
  /** The length of the window in milliseconds. */
  readonly withinMs: number;
}

/** What a handler knows besides its state and its message. */
export interface Context<P = unknown> {
  /** The actor itself. */
  readonly self: ActorRef<P>;
  /** The system it runs in. */
  readonly system: System;
  /** Time, as it was passed in. */
  readonly clock: Clock;
  /** Randomness, as it was passed in. */
  readonly rng: Rng;
  /** The log. */
  readonly log: Logger;
  /** Aborted when the asker cancels, the deadline passes, or the actor stops or restarts. */
  readonly signal: AbortSignal;
  /** Milliseconds since the epoch; `Infinity` when the message has none. */
  readonly deadline: number;
  /** What the work in hand is to tracers: a W3C `traceparent`; undefined when it is not traced. */
  readonly trace: string | undefined;
  /** Starts an actor that stops when this one stops or restarts. */
  spawn<Q extends Protocol<Q>, S, A>(
    definition: ActorDefinition<Q, S, A>,
    args: A,
    options?: SpawnOptions,
  ): ActorRef<Q>;
  /** Calls back in a turn of this actor when the other terminates. The answer stops watching. */
  watch(ref: AnyRef, callback: (reason: TerminationReason) => void): () => void;
  /** Buffers that move with the next reply or item instead of being copied (thread lane only). */
  move(buffers: readonly Movable[]): void;
}

/** One handler a method. A stream's handler answers an `AsyncIterable`, as `async *` does. */
export type Receive<P, State> = {
  [K in keyof P]: (
    state: State,
    message: MessageOf<P, K>,
    context: Context<P>,
  ) => K extends StreamName<P> ? AsyncIterable<ItemOf<P, K>>
    : ReplyOf<P, K> | Promise<ReplyOf<P, K>>;
};

/** One check a method that other nodes may call: throws when the message is not what the method takes. */
export type Checks<P> = { readonly [K in keyof P]?: (message: unknown) => void };

/** A kind of actor: behaviour without state. */
export interface ActorDefinition<P, State, Args> {
  /** The third part of its actors' addresses. */
  readonly kind: string;
  /** 1,024 messages and 64 MiB by default. */
  readonly mailbox?: Partial<MailboxLimits>;
  /** 3 restarts within 60,000 ms by default. */
  readonly supervise?: Supervision;
  /** Methods whose asynchronous work does not hold the turn. Streams never do. */
  readonly concurrent?: readonly (keyof P & string)[];
  /**
   * What messages from other nodes must pass before they reach the mailbox: bytes from a network are whatever
   * a peer made of them. Messages of the same node are of the same build, and are not checked.
   */
  readonly checks?: Checks<NoInfer<P>>;
  /** Makes the state: at first and at each restart. An actor whose start throws terminates. */
  start(context: Context<P>, args: Args): State | Promise<State>;
  /** Releases what the state holds: at the end and before each restart. */
  stop?(state: State, context: Context<P>, reason: TerminationReason): void | Promise<void>;
  /** What its actors do with each message. */
  readonly receive: Receive<P, State>;
}

/** An actor definition of which nothing but its kind is known. */
// deno-lint-ignore no-explicit-any -- State and Args appear in both variances
export type AnyActorDefinition = ActorDefinition<any, any, any>;

/** How an actor is spawned. */
export interface SpawnOptions {
  /** The last part of its address; made up when absent. */
  readonly id?: string;
}

/** How an actor is spawned on another lane. */
export interface SpawnOnOptions extends SpawnOptions {
  /** How long its start may take; as an ask by default. */
  readonly deadlineMs?: number;
}

/** The actors of one isolate, and the way to all others. */
export interface System {
  /** The name of the node. */
  readonly node: string;
  /** `main`, or the name of the Worker thread. */
  readonly lane: string;
  /** Time, as it was passed in. */
  readonly clock: Clock;
  /** Randomness, as it was passed in. */
  readonly rng: Rng;
  /** Small durable values. */
  readonly store: Store;
  /** The log. */
  readonly log: Logger;
  /** The messages that reached no handler here. */
  readonly deadLetters: DeadLetters;
  /** Starts an actor here. Throws `ActorError` (`Denied`) when the id is taken. */
  spawn<P extends Protocol<P>, S, A>(
    definition: ActorDefinition<P, S, A>,
    args: A,
    options?: SpawnOptions,
  ): ActorRef<P>;
  /**
   * Starts an actor of a kind that another lane offers (a thread's name, or `node/lane`), and
   * answers once it has started.
   */
  spawnOn<P>(
    lane: string,
    kind: string,
    args: unknown,
    options?: SpawnOnOptions,
  ): Promise<ActorRef<P>>;
  /** The reference of an address, here or elsewhere. */
  ref<P>(address: string): ActorRef<P>;
  /** Resolves once a local actor has started; rejects with `Terminated` if it could not. */
  ready(ref: AnyRef): Promise<void>;
  /** Calls back once when the actor terminates. The answer stops watching. */
  watch(ref: AnyRef, callback: (reason: TerminationReason) => void): () => void;
  /** Stops an actor after its turn; what waits in its mailbox fails with `Terminated`. */
  stop(ref: AnyRef): Promise<void>;
  /** Reaches a Worker that calls `serveThread()`, under a name of its own. */
  attachThread(name: string, worker: Worker): Thread;
  /** Declares a node dead: what waits for it fails at once with `Terminated`. */
  nodeDown(node: string, why: string): void;
  /** Waits until nothing is in work, at most `drainMs`, then stops all actors. */
  shutdown(options?: { readonly drainMs?: number }): Promise<void>;
}

/** Defines a kind of actor. Throws `ActorError` when the kind cannot be part of an address. */
export function defineActor<P extends Protocol<P>, State, Args = undefined>(
  definition: ActorDefinition<P, State, Args>,
): ActorDefinition<P, State, Args> {
  checkName("kind", definition.kind);
  return definition;
}
