import type {
  ActorDefinition,
  AnyActorDefinition,
  SpawnOnOptions,
  SpawnOptions,
  System,
} from "./actor.ts";
import { checkName, checkNodeName, formatAddress, parseAddress } from "./address.ts";
import { Behaviours } from "./behaviour.ts";
import { Cell, type CellHost } from "./cell.ts";
import { type Clock, sleep, systemClock } from "./clock.ts";
import { DeadLetters } from "./dead_letters.ts";
import { Deadlines } from "./deadlines.ts";
import { ActorError } from "./errors.ts";
import { Exchange } from "./exchange.ts";
import { LocalRef, type RefDefaults, type RefHost, typed } from "./local_ref.ts";
import type { Protocol } from "./protocol.ts";
import type { ActorRef, AnyRef, TerminationReason } from "./ref.ts";
import { RemoteRef } from "./remote_ref.ts";
import { type Rng, systemRng } from "./rng.ts";
import { defineRoot, rootId, rootKind, type RootProtocol } from "./root.ts";
import { Scheduler } from "./scheduler.ts";
import { createMemoryStore, type Store } from "./store/mod.ts";
import { createLogger, type Logger, type Tracer } from "./telemetry/mod.ts";
import {
  type Envelope,
  type Link,
  type Loss,
  openThread,
  type Thread,
  type ThreadWithLink,
  type Transport,
  TransportLink,
} from "./transport/mod.ts";

/** What a system is made of. Everything has a default for real use. */
export interface SystemOptions {
  /** The node's name: letters, digits, `_` and `-`; a role may stand before it, as in `worker:a`. */
  readonly node: string;
  /** Time; the machine's by default. */
  readonly clock?: Clock;
  /** Randomness; the machine's by default. */
  readonly rng?: Rng;
  /** Small durable values; in memory by default. */
  readonly store?: Store;
  /** The log; warnings to standard error by default. */
  readonly log?: Logger;
  /** Measures requests across nodes; none by default. */
  readonly tracer?: Tracer;
  /** The way to other nodes; without it there are none. */
  readonly transport?: Transport;
  /** Kinds that other lanes may spawn here. */
  readonly kinds?: readonly AnyActorDefinition[];
  /** How long work may go on after its actor was told to stop; 5,000 ms by default. */
  readonly graceMs?: number;
  /** How long an ask (30,000 ms) and a stream (600,000 ms) wait, and how far a stream runs ahead. */
  readonly defaults?: Partial<RefDefaults>;
}

/** Where a system runs, when it is not the main isolate of its node. */
export interface Placement {
  readonly lane: string;
  readonly elsewhere: Link;
}

const drainStepMs = 5;

/** The actors of one isolate. */
export class ActorSystem implements System, CellHost, RefHost {
  readonly node: string;
  readonly lane: string;
  readonly clock: Clock;
  readonly rng: Rng;
  readonly store: Store;
  readonly log: Logger;
  readonly deadLetters: DeadLetters = new DeadLetters();
  readonly tracer: Tracer | undefined;
  readonly deadlines: Deadlines;
  readonly scheduler: Scheduler;
  readonly graceMs: number;
  readonly defaults: RefDefaults;
  readonly #cells = new Map<string, Cell>();
  readonly #parents = new WeakMap<Cell, Cell>();
  readonly #behaviours = new Behaviours();
  readonly #threads = new Map<string, ThreadWithLink>();
  readonly #exchange: Exchange;
  readonly #rootCell: Cell;
  #closed = false;
  #nextId = 1;

  constructor(options: SystemOptions, placement?: Placement) {
    this.node = checkNodeName(options.node);
    this.lane = checkName("lane", placement?.lane ?? "main");
    this.clock = options.clock ?? systemClock();
    this.rng = options.rng ?? systemRng();
    this.store = options.store ?? createMemoryStore();
    this.log = options.log ?? createLogger({ level: "warn" });
    this.tracer = options.tracer;
    this.graceMs = options.graceMs ?? 5000;
    this.defaults = {
      askDeadlineMs: 30_000,
      streamDeadlineMs: 600_000,
      credits: 32,
      ...options.defaults,
    };
    this.deadlines = new Deadlines(this.clock);
    this.scheduler = new Scheduler(this.clock);
    this.#exchange = new Exchange(`${this.node}/${this.lane}`, this);
    if (placement) this.#exchange.setElsewhere(placement.elsewhere);
    if (options.transport) this.#exchange.setElsewhere(this.#link(options.transport));
    const root = defineRoot(options.kinds ?? [], (drainMs) => this.#stopAll(drainMs));
    this.#rootCell = this.#spawn(root, undefined, rootId);
  }

  // Actors.

  spawn<P extends Protocol<P>, S, A>(
    definition: ActorDefinition<P, S, A>,
    args: A,
    options?: SpawnOptions,
  ): ActorRef<P> {
    if (definition.kind === rootKind) {
      throw new ActorError("Denied", `Kind is reserved: ${rootKind}`);
    }
    return this.#refOf(this.#spawn(definition, args, options?.id));
  }

  spawnChild<P extends Protocol<P>, S, A>(
    parent: Cell,
    definition: ActorDefinition<P, S, A>,
    args: A,
    options?: SpawnOptions,
  ): ActorRef<P> {
    const cell = this.#spawn(definition, args, options?.id);
    parent.children.add(cell);
    this.#parents.set(cell, parent);
    return this.#refOf(cell);
  }

  async spawnOn<P>(
    lane: string,
    kind: string,
    args: unknown,
    { id, ...options }: SpawnOnOptions = {},
  ): Promise<ActorRef<P>> {
    const endpoint = lane.includes("/") ? lane : `${this.node}/${lane}`;
    const order = { kind, args, ...(id === undefined ? {} : { id }) };
    return this.ref<P>(await this.#root(endpoint).ask("spawn", order, options));
  }

  ref<P>(address: string): ActorRef<P> {
    const { node, lane } = parseAddress(address);
    if (node !== this.node || lane !== this.lane) {
      return typed<P>(new RemoteRef(address, this, this.#exchange));
    }
    return typed<P>(new LocalRef(address, this, () => this.#cells.get(address)));
  }

  async ready(ref: AnyRef): Promise<void> {
    const cell = this.#cells.get(ref.address);
    if (!cell) throw new ActorError("Terminated", `No such actor here: ${ref.address}`);
    await cell.ready();
  }

  watch(ref: AnyRef, callback: (reason: TerminationReason) => void): () => void {
    return this.#exchange.watch(ref.address, callback);
  }

  async stop(ref: AnyRef): Promise<void> {
    const { node, lane, kind } = parseAddress(ref.address);
    if (kind === rootKind) throw new ActorError("Denied", `Cannot stop: ${ref.address}`);
    if (node === this.node && lane === this.lane) {
      await this.#cells.get(ref.address)?.terminate();
    } else await this.#root(`${node}/${lane}`).ask("stop", ref.address);
  }

  /** What the cells need: the cell that has an address. */
  find(address: string): Cell | undefined {
    return this.#cells.get(address);
  }

  forget(cell: Cell): void {
    this.#cells.delete(cell.address);
    this.#parents.get(cell)?.children.delete(cell);
  }

  // Lanes.

  /** Takes an envelope that came in by a link. */
  receive(envelope: Envelope): void {
    this.#exchange.receive(envelope);
  }

  attachThread(name: string, worker: Worker): Thread {
    checkName("thread", name);
    if (name === this.lane || this.#threads.has(name)) {
      throw new ActorError("Denied", `Thread's name is taken: ${name}`);
    }
    const endpoint = `${this.node}/${name}`;
    const thread = openThread(worker, {
      node: this.node,
      name,
      receive: (envelope) => this.#exchange.receive(envelope),
      down: (why) => {
        this.#threads.delete(name);
        this.lost({ prefix: `${endpoint}/`, why });
      },
    });
    this.#threads.set(name, thread);
    this.#exchange.addLink(endpoint, thread.link);
    return thread;
  }

  nodeDown(node: string, why: string): void {
    this.lost({ prefix: `${node}/`, why: `Node ${node}: ${why}` });
  }

  /** Endpoints are gone: for this isolate and all threads. */
  lost(loss: Loss): void {
    this.#exchange.lost(loss);
    for (const { link } of this.#threads.values()) link.shake({ handshake: "lost", loss });
  }

  async shutdown(options: { readonly drainMs?: number } = {}): Promise<void> {
    if (this.#closed) return;
    const drainMs = options.drainMs ?? 0;
    await this.#stopAll(drainMs);
    this.#closed = true;
    await Promise.all(
      [...this.#threads.values()].map((thread) => this.#stopThread(thread, drainMs)),
    );
    await Promise.all(this.#cells.values().map((cell) => cell.terminate()));
    await this.#exchange.close();
    this.deadlines.close();
  }

  /** Lets the actors of a thread stop in good order before it is ended. */
  async #stopThread(thread: Thread, drainMs: number): Promise<void> {
    const deadlineMs = drainMs + this.graceMs;
    const root = this.#root(`${this.node}/${thread.name}`);
    await root.ask("stopAll", drainMs, { deadlineMs }).catch((error) => {
      this.log.warn("Thread did not stop in good order", { thread: thread.name, error });
    });
    thread.terminate();
  }

  /** Stops all actors but the root. */
  async #stopAll(drainMs: number): Promise<void> {
    const actors = () => this.#cells.values().filter((cell) => cell !== this.#rootCell);
    const end = this.clock.now() + drainMs;
    while (this.clock.now() < end && actors().some((cell) => !cell.isIdle)) {
      await sleep(this.clock, Math.min(drainStepMs, end - this.clock.now()));
    }
    const parents = actors().filter((cell) => !this.#parents.has(cell)).toArray();
    await Promise.all(parents.map((cell) => cell.terminate()));
  }

  #spawn(definition: AnyActorDefinition, args: unknown, id = String(this.#nextId++)): Cell {
    if (this.#closed) throw new ActorError("Terminated", "System was shut down");
    const { node, lane } = this;
    const kind = checkName("kind", definition.kind);
    const address = formatAddress({ node, lane, kind, id: checkName("id", id) });
    if (this.#cells.has(address)) throw new ActorError("Denied", `Address is taken: ${address}`);
    const cell = new Cell(address, this.#behaviours.of(definition), args, this);
    this.#cells.set(address, cell);
    return cell;
  }

  #refOf<P>(cell: Cell): ActorRef<P> {
    return this.ref<P>(cell.address);
  }

  #root(endpoint: string): ActorRef<RootProtocol> {
    return this.ref<RootProtocol>(`${endpoint}/${rootKind}/${rootId}`);
  }

  #link(transport: Transport): TransportLink {
    const newIncarnation = () => this.clock.now() + this.rng.next();
    const { node, clock } = this;
    return new TransportLink(transport, { node, clock, newIncarnation }, {
      receive: (envelope) => this.#exchange.receive(envelope),
      dropped: (to, reason) => this.deadLetters.add({ to, method: "packet", reason }),
      missing: (to, method) => this.deadLetters.add({ to, method, reason: "Lost" }),
      unsent: (envelope, reason) => this.#exchange.bury(envelope, reason),
      lost: (loss) => {
        this.log.warn("Lost other nodes", { why: loss.why });
        this.lost(loss);
      },
      refused: (to) => {
        this.log.error("Transport refuses to send", { to });
        this.#exchange.refused(to);
      },
      warn: (what) => this.log.warn("Transport is in trouble", { what }),
    });
  }

  /** This system, as its actors see it. */
  get system(): System {
    return this;
  }
}

/** Makes the system of a node's main isolate. Throws `ActorError` when a name is not usable. */
export function createSystem(options: SystemOptions): System {
  return new ActorSystem(options);
}
