import type { AnyRef, Logger, System } from "../../runtime/mod.ts";
import type { Level } from "../router/mod.ts";
import { deploy, type Deployment, type RunningReplica } from "./deploy.ts";

/** How long a redeployment waits: first, and at most after failures in a row. */
const BACKOFF_MS = { first: 500, most: 60_000 } as const;

/**
 * Deploys a copy anew when it is gone for good: supervision has given up on one of its actors, or its thread
 * is lost. A replica that somebody stopped stays stopped; one whose parts were stopped fails, and comes back.
 */
export class Keeper {
  readonly #system: System;
  readonly #log: Logger;
  readonly #cancels = new Set<() => void>();
  #closed = false;

  /** Spawns through `system`. */
  constructor(system: System, log: Logger) {
    this.#system = system;
    this.#log = log;
  }

  /** Watches over a running copy; the level learns when it is back. */
  keep(deployment: Deployment, running: RunningReplica, level: Level): void {
    const all = [running.replica, ...running.parts];
    const end = () => {
      for (const cancel of watches) cancel();
    };
    const watches = all.map((ref) =>
      this.#system.watch(ref, ({ type }) => {
        if (type === "Stopped" && ref !== running.replica) return;
        end();
        if (type !== "Stopped") this.#redeploy(deployment, all, level, BACKOFF_MS.first);
      })
    );
  }

  /** Ends all watching; nothing is deployed any more. */
  close(): void {
    this.#closed = true;
    for (const cancel of this.#cancels) cancel();
  }

  #redeploy(deployment: Deployment, old: readonly AnyRef[], level: Level, waitMs: number): void {
    if (this.#closed) return;
    const cancel = this.#system.clock.setTimer(waitMs, () => {
      this.#cancels.delete(cancel);
      this.#attempt(deployment, old, level).catch((error: Error) => {
        this.#log.error("Cannot deploy a replica anew", {
          level: level.name,
          error: error.message,
        });
        this.#redeploy(deployment, old, level, Math.min(2 * waitMs, BACKOFF_MS.most));
      });
    });
    this.#cancels.add(cancel);
  }

  async #attempt(deployment: Deployment, old: readonly AnyRef[], level: Level): Promise<void> {
    await Promise.all(old.map((ref) => this.#system.stop(ref)));
    const running = await deploy(this.#system, deployment);
    if (this.#closed) return;
    level.revive(running.replica.address);
    this.keep(deployment, running, level);
    this.#log.info("Deployed a replica anew", {
      level: level.name,
      replica: running.replica.address,
    });
  }
}
