import { type ActorRef, sleep, type System } from "../../runtime/mod.ts";
import type { ReplicaProtocol } from "../replica_protocol.ts";

/** A replica as the directory knows it. */
export interface OfferedReplica {
  /** Its address. */
  readonly address: string;
  /** Whether it is about to go: it is asked only while there is no other. */
  readonly draining: boolean;
}

/** A replica that generations can be asked of. */
export class Replica {
  readonly ref: ActorRef<ReplicaProtocol>;
  draining: boolean;
  #own = 0;
  #others = 0;

  constructor(ref: ActorRef<ReplicaProtocol>, draining: boolean) {
    this.ref = ref;
    this.draining = draining;
  }

  /** Generations that it is thought to work on. */
  get load(): number {
    return this.#own + this.#others;
  }

  /** A generation of this router begins at it. The answer ends it. */
  enter(): () => void {
    this.#own++;
    return () => {
      this.#own--;
      // What it said while it worked for this router grows old from now on.
      if (this.#own === 0) this.#others = 0;
    };
  }

  /** It said how many generations it works on, those of this router included. */
  said(queue: number): void {
    this.#others = Math.max(0, queue - this.#own);
  }
}

/** Whether a replica is on its way where there is none; `unknown` while nobody decides about that. */
export type Outlook = "coming" | "none" | "unknown";

/** What ends a search. */
export interface SearchControl {
  /** Ends the search. */
  readonly signal: AbortSignal;
  /** Milliseconds since the epoch. */
  readonly deadline: number;
  /** Whether to wait for replicas at all. */
  readonly patient: boolean;
}

/** How long a search waits after failures in a row: first, and at most. */
const BACKOFF_MS = { first: 50, most: 5000 } as const;

/**
 * How long a search goes on without hope. Where no replica is on its way, one may be planned in a moment, since
 * its loss is noticed by all at about the same time; who decides may have to be found first.
 */
const PATIENCE_MS = { none: 5000, unknown: 30_000 } as const;

/** How often the outlook is looked at while a search waits. */
const LOOK_MS = 500;

/** The replicas of a level, as they come and go. */
export class ReplicaSet {
  readonly system: System;
  readonly outlook: () => Outlook;
  readonly #replicas = new Map<string, Replica>();
  readonly #waiting = new Set<() => void>();

  /** `outlook` is asked for while there is none. */
  constructor(system: System, outlook: () => Outlook) {
    this.system = system;
    this.outlook = outlook;
  }

  /** How many there are. */
  get size(): number {
    return this.#replicas.size;
  }

  /** All of them. */
  get all(): Replica[] {
    return [...this.#replicas.values()];
  }

  /** Takes over which replicas there are, and wakes who waits for one. */
  update(offered: readonly OfferedReplica[]): void {
    const addresses = new Set(offered.map(({ address }) => address));
    for (const address of this.#replicas.keys()) {
      if (!addresses.has(address)) this.#replicas.delete(address);
    }
    for (const { address, draining } of offered) {
      const known = this.#replicas.get(address);
      if (known) known.draining = draining;
      else this.#replicas.set(address, new Replica(this.system.ref(address), draining));
    }
    if (this.size === 0) return;
    for (const wake of this.#waiting) wake();
    this.#waiting.clear();
  }

  /** Begins a search for one generation. */
  search(): ReplicaSearch {
    return new ReplicaSearch(this);
  }

  /** Waits for a change that brings replicas, at most `ms`. */
  async change(ms: number, signal: AbortSignal): Promise<void> {
    const found = new AbortController();
    const wake = () => found.abort();
    this.#waiting.add(wake);
    try {
      await sleep(this.system.clock, ms, AbortSignal.any([signal, found.signal]));
    } catch {
      // Whoever waits looks again, at the replicas and at its signal.
    } finally {
      this.#waiting.delete(wake);
    }
  }
}

/** One generation's search: avoids replicas that have just failed it while there are others. */
export class ReplicaSearch {
  readonly #set: ReplicaSet;
  readonly #avoided = new Set<string>();
  /** When there last was a replica, or one on its way. */
  #hopedAt: number;
  #losses = 0;

  constructor(set: ReplicaSet) {
    this.#set = set;
    this.#hopedAt = set.system.clock.now();
  }

  /** Failures in a row. */
  get losses(): number {
    return this.#losses;
  }

  /**
   * The least loaded replica. A patient search waits between failures, and where there is none, until the deadline
   * while one is on its way. Answers undefined when it gives up.
   */
  async next(control: SearchControl): Promise<Replica | undefined> {
    const { signal, deadline, patient } = control;
    if (patient) await this.#pause(control);
    for (;;) {
      const found = this.#pick();
      if (found) return found;
      const left = patient && !signal.aborted ? Math.min(this.#hopeMs, deadline - this.#now) : 0;
      if (left <= 0) return undefined;
      if (this.#set.size === 0) await this.#set.change(Math.min(left, LOOK_MS), signal);
      else this.#avoided.clear();
    }
  }

  /** A replica was lost. */
  lost(replica: Replica): void {
    this.#losses++;
    this.#hopedAt = this.#now;
    this.avoid(replica);
  }

  /** A replica would rather have another asked. */
  avoid({ ref }: Replica): void {
    this.#avoided.add(ref.address);
  }

  /** The generation went on: what failed before may be well again. */
  progress(): void {
    this.#avoided.clear();
    this.#losses = 0;
  }

  /** Whether there is a replica that has not failed, besides this one. */
  hasOthers({ ref }: Replica): boolean {
    return this.#open().some((replica) => replica.ref.address !== ref.address);
  }

  get #now(): number {
    return this.#set.system.clock.now();
  }

  /** How long the search goes on if nothing changes. */
  get #hopeMs(): number {
    const outlook = this.#set.size > 0 ? "coming" : this.#set.outlook();
    if (outlook !== "coming") return this.#hopedAt + PATIENCE_MS[outlook] - this.#now;
    this.#hopedAt = this.#now;
    return Infinity;
  }

  #pick(): Replica | undefined {
    const open = this.#open();
    const staying = open.filter(({ draining }) => !draining);
    return (staying.length > 0 ? staying : open).reduce<Replica | undefined>(
      (best, replica) => best && best.load <= replica.load ? best : replica,
      undefined,
    );
  }

  #open(): Replica[] {
    return this.#set.all.filter(({ ref }) => !this.#avoided.has(ref.address));
  }

  /** After a first loss another replica is asked at once; after more, all are given some time. */
  async #pause({ deadline, signal }: SearchControl): Promise<void> {
    const isFirst = this.#losses === 1 && this.#open().length > 0;
    const left = deadline - this.#now;
    const wait = Math.min(BACKOFF_MS.first * 2 ** (this.#losses - 1), BACKOFF_MS.most, left);
    if (this.#losses === 0 || isFirst || wait <= 0) return;
    await sleep(this.#set.system.clock, wait, signal).catch(() => {});
  }
}
