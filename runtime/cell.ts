import type { ActorDefinition, SpawnOptions, System } from "./actor.ts";
import type { Behaviour } from "./behaviour.ts";
import { type Clock, settledWithin } from "./clock.ts";
import { type ContextOwner, TurnContext } from "./context.ts";
import type { DeadLetterReason, DeadLetters } from "./dead_letters.ts";
import type { Deadlines } from "./deadlines.ts";
import { ActorError, toActorError } from "./errors.ts";
import type { Letter } from "./letter.ts";
import { Mailbox } from "./mailbox.ts";
import type { Protocol } from "./protocol.ts";
import type { ActorRef, AnyRef, TerminationReason } from "./ref.ts";
import { full, noSuchMethod, terminated, wrongMode } from "./refusals.ts";
import type { Rng } from "./rng.ts";
import type { Runnable, Scheduler } from "./scheduler.ts";
import { pump } from "./stream.ts";
import { RestartIntensity } from "./supervision.ts";
import type { Logger, Tracer } from "./telemetry/mod.ts";

/** What a cell needs of the system around it. */
export interface CellHost {
  readonly system: System;
  readonly clock: Clock;
  readonly deadlines: Deadlines;
  readonly scheduler: Scheduler;
  readonly deadLetters: DeadLetters;
  /** Measures traced messages; undefined = nothing does. */
  readonly tracer: Tracer | undefined;
  /** How long the work of an actor may go on after it was told to stop. */
  readonly graceMs: number;
  spawnChild<Q extends Protocol<Q>, S, A>(
    parent: Cell,
    definition: ActorDefinition<Q, S, A>,
    args: A,
    options?: SpawnOptions,
  ): ActorRef<Q>;
  /** Called once, when the cell has terminated. */
  forget(cell: Cell): void;
}

type Phase = "starting" | "running" | "stopping" | "terminated";

/** One actor: its state, its mailbox, and the turns that join them. */
export class Cell implements Runnable, ContextOwner {
  readonly address: string;
  readonly deadlines: Deadlines;
  readonly children = new Set<Cell>();
  readonly #host: CellHost;
  readonly #behaviour: Behaviour;
  readonly #args: unknown;
  readonly #mailbox: Mailbox;
  readonly #intensity: RestartIntensity;
  readonly #watchers = new Set<(reason: TerminationReason) => void>();
  readonly #watching = new Set<() => void>();
  /** Letters whose handlers have not finished, with what they promise. */
  readonly #running = new Map<Letter, Promise<unknown>>();
  #phase: Phase = "starting";
  #state: unknown = undefined;
  #hasState = false;
  #busy = false;
  #scheduled = false;
  /** Counts lives: what is left of a former one must not touch this one. */
  #life = 0;
  #lifeController: AbortController | null = null;
  #starting: Promise<void> = Promise.resolve();
  #stopped: Promise<void> | null = null;
  #reason: TerminationReason | null = null;
  #self: ActorRef<unknown> | null = null;
  #rng: Rng | null = null;
  #log: Logger | null = null;

  constructor(address: string, behaviour: Behaviour, args: unknown, host: CellHost) {
    this.address = address;
    this.deadlines = host.deadlines;
    this.#host = host;
    this.#behaviour = behaviour;
    this.#args = args;
    this.#mailbox = new Mailbox(behaviour.definition.mailbox);
    this.#intensity = new RestartIntensity(behaviour.definition.supervise);
    this.#starting = Promise.resolve().then(() => this.#start());
  }

  // What its context shows.

  get system(): System {
    return this.#host.system;
  }

  get self(): ActorRef<unknown> {
    return this.#self ??= this.#host.system.ref(this.address);
  }

  get rng(): Rng {
    return this.#rng ??= this.#host.system.rng.split(this.address);
  }

  get log(): Logger {
    return this.#log ??= this.#host.system.log.child({ actor: this.address });
  }

  get lifeSignal(): AbortSignal {
    return (this.#lifeController ??= new AbortController()).signal;
  }

  spawn<Q extends Protocol<Q>, S, A>(
    definition: ActorDefinition<Q, S, A>,
    args: A,
    options?: SpawnOptions,
  ): ActorRef<Q> {
    return this.#host.spawnChild(this, definition, args, options);
  }

  watch(ref: AnyRef, callback: (reason: TerminationReason) => void): () => void {
    const unwatch = this.#host.system.watch(ref, (reason) => {
      if (!this.#watching.delete(stop)) return;
      this.#mailbox.offerControl(() => callback(reason));
      this.#schedule();
    });
    const stop = () => {
      this.#watching.delete(stop);
      unwatch();
    };
    this.#watching.add(stop);
    return stop;
  }

  // The door.

  get isAlive(): boolean {
    return this.#phase === "starting" || this.#phase === "running";
  }

  /** Nothing waits and nothing is in work. */
  get isIdle(): boolean {
    return this.#phase !== "starting" && this.#mailbox.isEmpty && this.#running.size === 0;
  }

  /** Puts a letter into the mailbox, or throws why not. */
  post(letter: Letter): void {
    const refusal = this.isAlive ? this.#mailbox.offer(letter) : "Terminated";
    if (refusal === null) {
      const { tracer } = this.#host;
      if (tracer) letter.measure(tracer, this.#behaviour.definition.kind, this.address);
      return this.#schedule();
    }
    this.#bury(letter, refusal);
    if (refusal === "Terminated") throw this.#terminated(true);
    throw full(this.address, this.#mailbox, refusal);
  }

  /** Refuses a letter of another node that its method cannot take. Throws `ActorError`. */
  check(letter: Letter): void {
    try {
      this.#behaviour.checks.get(letter.method)?.(letter.message);
    } catch (thrown) {
      this.#bury(letter, "Malformed");
      throw toActorError(thrown);
    }
  }

  /** Calls back when it terminates; at once if it already has. The answer stops watching. */
  addWatcher(watcher: (reason: TerminationReason) => void): () => void {
    if (this.#reason !== null && this.#phase === "terminated") {
      watcher(this.#reason);
      return () => {};
    }
    this.#watchers.add(watcher);
    return () => this.#watchers.delete(watcher);
  }

  /** Resolves once it has started; rejects if it could not. */
  async ready(): Promise<void> {
    await this.#starting;
    if (!this.isAlive) throw this.#terminated(false);
  }

  #terminated(retryable: boolean): ActorError {
    return terminated(this.address, this.#reason, retryable);
  }

  #bury(letter: Letter, reason: DeadLetterReason): void {
    const { method, message } = letter;
    this.#host.deadLetters.add({ to: this.address, method, reason, message });
  }

  // Turns.

  get runnable(): boolean {
    return this.#phase === "running" && !this.#busy && !this.#mailbox.isEmpty;
  }

  runTurns(limit: number): number {
    let turns = 0;
    while (turns < limit && this.#phase === "running" && !this.#busy) {
      const control = this.#mailbox.takeControl();
      if (control) this.#control(control);
      else {
        const letter = this.#mailbox.take();
        if (letter === undefined) break;
        this.#turn(letter);
      }
      turns++;
    }
    this.#scheduled = this.runnable;
    return turns;
  }

  #schedule(): void {
    if (this.#scheduled || !this.runnable) return;
    this.#scheduled = true;
    this.#host.scheduler.ready(this);
  }

  #control(work: () => void): void {
    try {
      work();
    } catch (thrown) {
      this.#crash(thrown);
    }
  }

  #turn(letter: Letter): void {
    if (letter.settled) return this.#bury(letter, "Cancelled");
    if (letter.deadline !== Infinity && letter.deadline <= this.#host.clock.now()) {
      this.#bury(letter, "Expired");
      return letter.expire();
    }
    const handler = this.#behaviour.handlers.get(letter.method);
    if (handler === undefined) {
      this.#bury(letter, "NoRoute");
      return letter.reject(noSuchMethod(this.address, letter.method));
    }
    try {
      const result = handler(this.#state, letter.message, new TurnContext(this, letter));
      if (typeof result === "object" && result !== null) this.#follow(letter, result);
      else if (letter.stream) letter.reject(wrongMode(letter));
      else letter.resolveNow(result);
    } catch (thrown) {
      this.#fault(letter, thrown);
    }
  }

  /** What a handler answered when it is more than a plain value: a promise, a stream, an object. */
  #follow(letter: Letter, result: object): void {
    if (Symbol.asyncIterator in result) {
      if (!letter.stream) return letter.reject(wrongMode(letter));
      this.#run(letter, pump(result as AsyncIterable<unknown>, letter), false);
    } else if (letter.stream) {
      letter.reject(wrongMode(letter));
    } else if (result instanceof Promise) {
      this.#run(letter, result, !this.#behaviour.concurrent.has(letter.method));
    } else {
      letter.resolveNow(result);
    }
  }

  #run(letter: Letter, work: Promise<unknown>, holdsTurn: boolean): void {
    const life = this.#life;
    if (holdsTurn) this.#busy = true;
    this.#running.set(letter, work);
    work.then(
      (value) => {
        this.#release(letter, life, holdsTurn);
        letter.resolve(value, this.#host.clock);
      },
      (thrown) => {
        this.#release(letter, life, holdsTurn);
        if (life === this.#life) this.#fault(letter, thrown);
      },
    );
  }

  #release(letter: Letter, life: number, heldTurn: boolean): void {
    this.#running.delete(letter);
    if (!heldTurn || life !== this.#life) return;
    this.#busy = false;
    this.#schedule();
  }

  // Life and death.

  /** Stops it: what waits or runs fails at once, then its `stop` runs. */
  terminate(reason: TerminationReason = { type: "Stopped" }): Promise<void> {
    return this.#stopped ??= this.#terminate(reason);
  }

  async #start(): Promise<void> {
    if (this.#phase !== "starting") return;
    const life = this.#life;
    try {
      const state = this.#behaviour.definition.start(new TurnContext(this, null), this.#args);
      this.#state = state instanceof Promise ? await state : state;
      this.#hasState = true;
    } catch (thrown) {
      this.log.error("Actor could not start", { error: toActorError(thrown).message });
      if (life === this.#life) this.#stop(thrown);
      return;
    }
    if (life !== this.#life) return this.#releaseState({ type: "Stopped" });
    if (this.#phase !== "starting") return;
    this.#phase = "running";
    this.#schedule();
  }

  #fault(letter: Letter, thrown: unknown): void {
    letter.reject(toActorError(thrown));
    if (!(thrown instanceof ActorError)) this.#crash(thrown);
  }

  #crash(thrown: unknown): void {
    if (this.#phase !== "running") return;
    const { message } = toActorError(thrown);
    this.log.error("Actor crashed", { error: message });
    if (!this.#intensity.allow(this.#host.clock.now())) return this.#stop(thrown);
    this.#phase = "starting";
    this.#starting = this.#endLife({ type: "Failed", message }).then(() => this.#start());
  }

  #stop(thrown: unknown): void {
    void this.terminate({ type: "Failed", message: toActorError(thrown).message });
  }

  async #terminate(reason: TerminationReason): Promise<void> {
    const starting = this.#phase === "starting" ? this.#starting : null;
    this.#phase = "stopping";
    this.#reason = reason;
    for (let letter = this.#mailbox.take(); letter; letter = this.#mailbox.take()) {
      if (!letter.settled) this.#bury(letter, "Terminated");
      letter.abort(this.#terminated(true));
    }
    this.#lifeController?.abort(this.#terminated(false));
    if (starting) await this.#within([starting]);
    await this.#endLife(reason);
    this.#phase = "terminated";
    this.#host.forget(this);
    for (const watcher of this.#watchers) this.#notify(watcher, reason);
    this.#watchers.clear();
  }

  #notify(watcher: (reason: TerminationReason) => void, reason: TerminationReason): void {
    try {
      watcher(reason);
    } catch (thrown) {
      this.log.error("Watcher failed", { error: toActorError(thrown).message });
    }
  }

  /** Ends what hangs on the present state, then releases it. */
  async #endLife(reason: TerminationReason): Promise<void> {
    this.#life++;
    this.#busy = false;
    this.#mailbox.clearControl();
    for (const unwatch of [...this.#watching]) unwatch();
    const error = reason.type === "Failed"
      ? new ActorError("Terminated", `Actor failed: ${this.address}`)
      : this.#terminated(false);
    this.#lifeController?.abort(error);
    this.#lifeController = null;
    const working = [...this.#running.values()];
    for (const letter of [...this.#running.keys()]) letter.abort(error);
    const children = [...this.children].map((child) => child.terminate());
    await this.#within([...working, ...children]);
    await this.#releaseState(reason);
  }

  async #releaseState(reason: TerminationReason): Promise<void> {
    if (!this.#hasState) return;
    this.#hasState = false;
    try {
      const { definition } = this.#behaviour;
      await definition.stop?.(this.#state, new TurnContext(this, null), reason);
    } catch (thrown) {
      this.log.error("Actor could not stop cleanly", { error: toActorError(thrown).message });
    }
    this.#state = undefined;
  }

  #within(work: readonly Promise<unknown>[]): Promise<void> {
    return settledWithin(this.#host.clock, this.#host.graceMs, work);
  }
}
