import type { Clock } from "../../runtime/mod.ts";
import type { FamilyStatus, ReplicaSummary } from "../protocol.ts";

/** How far a replica was when it last made progress, or had nothing to do. */
interface Mark {
  readonly steps: number | null;
  /** Milliseconds, monotonic. */
  readonly at: number;
}

/** A step that takes 120 s fails by itself: what stands still for longer does not come back by itself. */
const STALL_MS = 150_000;

/** Notices replicas of a node that have work and compute no step, or do not answer, for too long. */
export class ProgressWatch {
  readonly #clock: Clock;
  readonly #node: string | undefined;
  #marks = new Map<string, Mark>();

  /** Watches the replicas of a node; of none when it is absent. */
  constructor(clock: Clock, node: string | undefined) {
    this.#clock = clock;
    this.#node = node;
  }

  /** Looks at what the routers say now. Answers the addresses of replicas that are stuck. */
  stuck(families: readonly FamilyStatus[]): readonly string[] {
    const replicas = families.flatMap(({ levels }) => levels.flatMap(({ replicas }) => replicas))
      .filter(({ address }) => address.startsWith(`${this.#node}/`));
    const now = this.#clock.monotonic();
    this.#marks = new Map(replicas.map((replica) => [replica.address, this.#mark(replica, now)]));
    return replicas.map(({ address }) => address)
      .filter((address) => now - this.#marks.get(address)!.at > STALL_MS);
  }

  #mark({ address, steps, running, waiting }: ReplicaSummary, now: number): Mark {
    const last = this.#marks.get(address);
    const isIdle = steps !== null && running + waiting === 0;
    const stands = last !== undefined && !isIdle && (steps === null || steps === last.steps);
    return stands ? last : { steps, at: now };
  }
}
