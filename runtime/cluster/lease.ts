import { z } from "zod";
import { type Clock, sleep } from "../clock.ts";
import type { Rng } from "../rng.ts";
import type { Store, StoreEntry } from "../store/mod.ts";
import type { Logger } from "../telemetry/mod.ts";

/** What a lease is taken with. */
export interface LeaseOptions {
  /** Where the lease is kept. */
  readonly store: Store;
  /** Time; only its monotonic side counts, so clocks of nodes need not agree. */
  readonly clock: Clock;
  /** Spreads the attempts of several nodes, and tells one attempt from another. */
  readonly rng: Rng;
  /** Where failures of the store are logged. */
  readonly log: Logger;
  /** The lease's key in the store. */
  readonly key: string;
  /** Who takes it, for people. */
  readonly holder: string;
  /** How long it lasts without being renewed, in milliseconds; 3,000 by default. */
  readonly ttlMs?: number;
  /** The highest epoch known from elsewhere: a store that was lost must not bring one back. */
  readonly floor?: () => number;
  /** Told what is wrong with the store, and `null` once nothing is. */
  readonly trouble?: (why: string | null) => void;
}

/** A right that at most one holds at a time. */
export interface Lease {
  /** Higher than that of every earlier holder. */
  readonly epoch: number;
  /** Aborted when the lease ends, before another can take it. */
  readonly signal: AbortSignal;
  /** Gives it back, so that another need not wait for its end. */
  release(): Promise<void>;
}

const schema = z.object({
  /** Who holds it; null once it was given back. */
  holder: z.string().max(200).nullable(),
  /** Tells one acquisition from all others. */
  token: z.string().max(64),
  epoch: z.int().nonnegative(),
  /** Changes with each renewal, and so does the entry's version. */
  beat: z.int().nonnegative(),
});

type Record = z.output<typeof schema>;

/** The share of its time after which a holder stops; the rest is for clocks that run unevenly. */
const heldShare = 0.8;

/**
 * Waits until it holds the lease. A challenger takes it only after the entry stood unchanged for the whole
 * `ttlMs` by its own monotonic clock; the holder stops after 0.8 of that, counted from before its last renewal
 * (Gray and Cheriton, "Leases", 1989). Rejects with the signal's reason when it is aborted.
 */
export async function acquireLease(options: LeaseOptions, signal: AbortSignal): Promise<Lease> {
  const { clock, rng, ttlMs = 3000 } = options;
  const watch = new Watch(options);
  const trouble = new Trouble(options);
  while (true) {
    signal.throwIfAborted();
    try {
      const lease = await watch.attempt();
      trouble.over();
      if (lease) return lease;
    } catch (thrown) {
      trouble.note("Cannot take a lease", thrown);
    }
    await sleep(clock, ttlMs * (0.15 + 0.1 * rng.next()), signal);
  }
}

/** What is wrong with the store: said when it begins, not each time. */
class Trouble {
  readonly #options: LeaseOptions;
  /** Undefined before anything is known. */
  #why: string | null | undefined;

  constructor(options: LeaseOptions) {
    this.#options = options;
  }

  note(what: string, thrown: unknown): void {
    const why = thrown instanceof Error ? thrown.message : String(thrown);
    if (why === this.#why) return;
    const { log, key, trouble } = this.#options;
    log.warn(what, { lease: key, why });
    this.#why = why;
    trouble?.(why);
  }

  over(): void {
    if (this.#why === null) return;
    this.#why = null;
    this.#options.trouble?.(null);
  }
}

/** What a challenger has seen of an entry. */
class Watch {
  readonly #options: LeaseOptions;
  readonly #ttlMs: number;
  #seen: { readonly version: string | null; readonly at: number } | undefined;

  constructor(options: LeaseOptions) {
    this.#options = options;
    this.#ttlMs = options.ttlMs ?? 3000;
  }

  /** Takes the lease if it is free. */
  async attempt(): Promise<Lease | null> {
    const { store, clock, rng, key, holder, floor = () => 0 } = this.#options;
    const entry = await timely(clock, this.#ttlMs, store.get(key));
    if (!this.#isFree(entry)) return null;
    const started = clock.monotonic();
    const record: Record = {
      holder,
      token: rng.integer(2 ** 48).toString(36),
      epoch: Math.max(parse(entry)?.epoch ?? 0, floor()) + 1,
      beat: 0,
    };
    const written = store.compareAndSet(key, entry?.version ?? null, record);
    const version = await timely(clock, this.#ttlMs, written);
    return version === null ? null : new HeldLease(this.#options, record, version, started);
  }

  /** Whether nobody holds it: it was given back, never taken, or stood unchanged for its whole time. */
  #isFree(entry: StoreEntry | null): boolean {
    const { clock, floor = () => 0 } = this.#options;
    if (entry ? parse(entry)?.holder === null : floor() === 0) return true;
    const version = entry?.version ?? null;
    if (this.#seen?.version !== version || !this.#seen) {
      this.#seen = { version, at: clock.monotonic() };
    }
    return clock.monotonic() - this.#seen.at >= this.#ttlMs;
  }
}

/** A lease that is held: renews itself until it cannot. */
class HeldLease implements Lease {
  readonly epoch: number;
  readonly #options: LeaseOptions;
  readonly #ttlMs: number;
  readonly #trouble: Trouble;
  readonly #controller = new AbortController();
  #record: Record;
  #version: string;
  #cancelEnd: () => void = () => {};

  constructor(options: LeaseOptions, record: Record, version: string, started: number) {
    this.epoch = record.epoch;
    this.#options = options;
    this.#trouble = new Trouble(options);
    this.#ttlMs = options.ttlMs ?? 3000;
    this.#record = record;
    this.#version = version;
    this.#holdFrom(started);
    this.#keep();
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  async release(): Promise<void> {
    if (this.signal.aborted) return;
    this.#end("it was given back");
    const { store, clock, key } = this.#options;
    const free = { ...this.#record, holder: null };
    const written = store.compareAndSet(key, this.#version, free);
    await timely(clock, this.#ttlMs, written).catch(() => {});
  }

  async #keep(): Promise<void> {
    const { clock } = this.#options;
    while (!this.signal.aborted) {
      try {
        await sleep(clock, this.#ttlMs / 4, this.signal);
        await this.#renew();
        this.#trouble.over();
      } catch (thrown) {
        if (!this.signal.aborted) this.#trouble.note("Cannot renew a lease", thrown);
      }
    }
  }

  async #renew(): Promise<void> {
    const { store, clock, key } = this.#options;
    const started = clock.monotonic();
    const next = { ...this.#record, beat: this.#record.beat + 1 };
    const written = store.compareAndSet(key, this.#version, next);
    const version = await timely(clock, this.#ttlMs / 4, written);
    if (version === null) return await this.#adopt();
    this.#record = next;
    this.#version = version;
    this.#holdFrom(started);
  }

  /** The entry is not what it was: a renewal whose answer was lost, a lost store, or another holder. */
  async #adopt(): Promise<void> {
    const { store, clock, key } = this.#options;
    const entry = await timely(clock, this.#ttlMs / 4, store.get(key));
    if (entry === null) {
      const version = await store.compareAndSet(key, null, this.#record);
      if (version !== null) this.#version = version;
      return;
    }
    const found = parse(entry);
    if (found?.token !== this.#record.token) return this.#end("another holds it");
    this.#version = entry.version;
    this.#record = found;
  }

  #holdFrom(started: number): void {
    const { clock } = this.#options;
    if (this.signal.aborted) return;
    this.#cancelEnd();
    const left = started + this.#ttlMs * heldShare - clock.monotonic();
    this.#cancelEnd = clock.setTimer(left, () => this.#end("it was not renewed in time"));
  }

  #end(why: string): void {
    this.#cancelEnd();
    this.#controller.abort(new Error(`Lease ended: ${why}`));
  }
}

function parse(entry: StoreEntry | null): Record | undefined {
  return entry ? schema.safeParse(entry.value).data : undefined;
}

/** What a store answers, unless it takes too long. */
async function timely<T>(clock: Clock, ms: number, work: Promise<T>): Promise<T> {
  const enough = new AbortController();
  const limit = sleep(clock, ms, enough.signal).then(() => {
    throw new Error(`The store gave no answer within ${ms} ms`);
  });
  limit.catch(() => {});
  try {
    return await Promise.race([work, limit]);
  } finally {
    enough.abort();
  }
}
