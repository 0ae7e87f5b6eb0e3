import type { ActorDefinition, Context, SpawnOptions, System } from "./actor.ts";
import type { Clock } from "./clock.ts";
import type { Deadlines } from "./deadlines.ts";
import type { Letter } from "./letter.ts";
import type { Protocol } from "./protocol.ts";
import type { ActorRef, AnyRef, Movable, TerminationReason } from "./ref.ts";
import type { Rng } from "./rng.ts";
import type { Logger } from "./telemetry/mod.ts";

/** What a context needs of the actor it belongs to. */
export interface ContextOwner {
  readonly system: System;
  readonly deadlines: Deadlines;
  readonly self: ActorRef<unknown>;
  readonly rng: Rng;
  readonly log: Logger;
  /** Aborted when this life of the actor ends. */
  readonly lifeSignal: AbortSignal;
  spawn<Q extends Protocol<Q>, S, A>(
    definition: ActorDefinition<Q, S, A>,
    args: A,
    options?: SpawnOptions,
  ): ActorRef<Q>;
  watch(ref: AnyRef, callback: (reason: TerminationReason) => void): () => void;
}

/** The context of one letter, or of start and stop when there is none. */
export class TurnContext implements Context {
  readonly #owner: ContextOwner;
  readonly #letter: Letter | null;

  constructor(owner: ContextOwner, letter: Letter | null) {
    this.#owner = owner;
    this.#letter = letter;
  }

  get self(): ActorRef<unknown> {
    return this.#owner.self;
  }

  get system(): System {
    return this.#owner.system;
  }

  get clock(): Clock {
    return this.#owner.system.clock;
  }

  get rng(): Rng {
    return this.#owner.rng;
  }

  get log(): Logger {
    return this.#owner.log;
  }

  get signal(): AbortSignal {
    return this.#letter?.signal(this.#owner.deadlines) ?? this.#owner.lifeSignal;
  }

  get deadline(): number {
    return this.#letter?.deadline ?? Infinity;
  }

  get trace(): string | undefined {
    return this.#letter?.trace;
  }

  spawn<Q extends Protocol<Q>, S, A>(
    definition: ActorDefinition<Q, S, A>,
    args: A,
    options?: SpawnOptions,
  ): ActorRef<Q> {
    return this.#owner.spawn(definition, args, options);
  }

  watch(ref: AnyRef, callback: (reason: TerminationReason) => void): () => void {
    return this.#owner.watch(ref, callback);
  }

  move(buffers: readonly Movable[]): void {
    if (this.#letter) this.#letter.transfer = [...(this.#letter.transfer ?? []), ...buffers];
  }
}
