import type { Arguments, AskName, ItemOf, ReplyOf, StreamName } from "./protocol.ts";

/** A buffer that can move to another thread; shared memory is let through and stays shared. */
export type Movable = Transferable | ArrayBufferLike;

/** How one message is sent. */
export interface TellOptions {
  /** Milliseconds since the epoch after which the message is dropped instead of handled. */
  readonly deadline?: number;
  /** The same, counted from now. */
  readonly deadlineMs?: number;
  /** Buffers that move to a Worker thread instead of being copied. Other lanes ignore it. */
  readonly transfer?: readonly Movable[];
}

/** How an answer is asked for. A handler's `context` is one: `ask("x", message, context)`. */
export interface AskOptions extends TellOptions {
  /** Cancels the request, here and where it is worked on. */
  readonly signal?: AbortSignal;
  /** What causes the request, for tracers: a W3C `traceparent`. */
  readonly trace?: string | undefined;
}

/** How a stream is asked for. */
export interface StreamOptions extends AskOptions {
  /** How many items may be on their way unread; 32 by default. */
  readonly credits?: number;
}

/** Any reference: what can be watched and stopped without knowing what it understands. */
export interface AnyRef {
  /** `node/lane/kind/id`: the form in which a reference travels inside a message. */
  readonly address: string;
}

/** Why an actor is no more. */
export type TerminationReason =
  | { readonly type: "Stopped" }
  | { readonly type: "Failed"; readonly message: string }
  /** Its thread or node is gone, or it was not there at all. */
  | { readonly type: "Lost"; readonly message: string };

/** A reference to an actor, wherever it runs. It names an address, not one life of the actor. */
export interface ActorRef<P> extends AnyRef {
  /** Sends and forgets. Throws `ActorError` when the message is refused at the door. */
  tell<K extends AskName<P>>(method: K, ...rest: Arguments<P, K, TellOptions>): void;
  /** Sends and awaits the answer: by default at most 30 s. Rejects with `ActorError`. */
  ask<K extends AskName<P>>(
    method: K,
    ...rest: Arguments<P, K, AskOptions>
  ): Promise<ReplyOf<P, K>>;
  /**
   * Asks for a stream; the request is sent at the first `next()`. Leaving the loop cancels it.
   * Throws `ActorError` while iterating.
   */
  stream<K extends StreamName<P>>(
    method: K,
    ...rest: Arguments<P, K, StreamOptions>
  ): AsyncIterableIterator<ItemOf<P, K>>;
}
