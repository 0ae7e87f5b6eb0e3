import type { ActorRef, Clock, Rng } from "../../../runtime/mod.ts";
import type { RouterProtocol } from "../../protocol.ts";

/** What is known of one router's work. */
interface Load {
  /** Requests of this edge. */
  own: number;
  /** Requests of others, when it last said so. */
  others: number;
  /** Milliseconds since the epoch. */
  saidAt: number;
}

/** What a router said longer ago counts as nothing. */
const STALE_MS = 10_000;

/** Knows the load of routers by what they say with their answers, and finds the least loaded. */
export class Balancer {
  readonly #clock: Clock;
  readonly #rng: Rng;
  readonly #loads = new Map<string, Load>();

  constructor(clock: Clock, rng: Rng) {
    this.#clock = clock;
    this.#rng = rng;
  }

  /** The least loaded of these; among equals any, so that edges do not all choose the same. */
  pick<R extends ActorRef<RouterProtocol>>(routers: readonly R[]): R | undefined {
    const loads = routers.map(({ address }) => this.loadOf(address));
    const least = Math.min(...loads);
    const best = routers.filter((_, index) => loads[index] === least);
    return best[best.length > 1 ? this.#rng.integer(best.length) : 0];
  }

  /** Requests that a router is thought to be answering. */
  loadOf(address: string): number {
    const load = this.#loads.get(address);
    if (load === undefined) return 0;
    return load.own + (this.#clock.now() - load.saidAt > STALE_MS ? 0 : load.others);
  }

  /** A request begins at a router. The answer ends it. */
  enter(address: string): () => void {
    const load = this.#of(address);
    load.own++;
    return () => {
      load.own--;
      if (load.own === 0 && this.#clock.now() - load.saidAt > STALE_MS) this.#loads.delete(address);
    };
  }

  /** A router said how many requests it is answering, those of this edge included. */
  said(address: string, running: number): void {
    const load = this.#of(address);
    load.others = Math.max(0, running - load.own);
    load.saidAt = this.#clock.now();
  }

  #of(address: string): Load {
    const known = this.#loads.get(address);
    if (known) return known;
    const made = { own: 0, others: 0, saidAt: -Infinity };
    this.#loads.set(address, made);
    return made;
  }
}
