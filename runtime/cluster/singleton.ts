import type { ActorDefinition, System } from "../actor.ts";
import { sleep } from "../clock.ts";
import type { Protocol } from "../protocol.ts";
import type { AnyRef } from "../ref.ts";
import { acquireLease, type Lease, type LeaseOptions } from "./lease.ts";

/** An actor of which the cluster has at most one at a time. */
export interface SingletonOptions<P, S, A>
  extends Pick<LeaseOptions, "ttlMs" | "floor" | "trouble"> {
  /** Key of its lease in the system's store. */
  readonly key: string;
  /** What runs. */
  readonly definition: ActorDefinition<P, S, A>;
  /** Its id. */
  readonly id: string;
  /** What it is started with; it runs no longer than the lease. */
  readonly args: (lease: Lease) => A;
  /** Called when it has started here, and when it has stopped. */
  readonly changed?: (lease: Lease | null) => void;
}

/** A candidate for running a singleton. */
export interface Singleton {
  /** Runs it no longer here, and stands no longer for it. */
  close(): Promise<void>;
}

/** How long a candidate waits after its actor ended by itself. */
const pauseMs = 1000;

/**
 * Stands for a singleton: runs the actor here while this node holds its lease, and stops it when the lease
 * ends, before another can take it. Every node that may run it calls this.
 */
export function standFor<P extends Protocol<P>, S, A>(
  system: System,
  options: SingletonOptions<P, S, A>,
): Singleton {
  const { store, clock, rng, log, node } = system;
  const { definition, id, key, args, changed } = options;
  const closing = new AbortController();

  const serve = async (lease: Lease) => {
    const ref = system.spawn(definition, args(lease), { id });
    changed?.(lease);
    const signal = AbortSignal.any([lease.signal, closing.signal]);
    await Promise.race([aborted(signal), ended(system, ref)]);
    await system.stop(ref);
    changed?.(null);
    await lease.release();
    if (!signal.aborted) await sleep(clock, pauseMs, closing.signal);
  };
  const stand = async () => {
    const lease = { ...options, store, clock, rng, log, holder: node };
    while (!closing.signal.aborted) {
      const taken = await acquireLease(lease, closing.signal);
      log.debug("Took a lease", { lease: key, epoch: taken.epoch });
      await serve(taken);
    }
  };
  const standing = stand().catch((error) => {
    if (!closing.signal.aborted) log.error("Cannot stand for a singleton", { lease: key, error });
  });
  return {
    async close() {
      closing.abort();
      await standing;
    },
  };
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}

function ended(system: System, ref: AnyRef): Promise<void> {
  return new Promise((resolve) => system.watch(ref, () => resolve()));
}
