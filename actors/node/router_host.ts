import { isDeepStrictEqual } from "node:util";
import type { ActorRef, Directory, Offer, System } from "../../runtime/mod.ts";
import type { FamilyFacts, LevelFacts } from "../node_protocol.ts";
import { actorName, layOut, levelKey } from "../planner/mod.ts";
import type { RouterProtocol } from "../protocol.ts";
import {
  Level,
  type LevelModel,
  type OfferedReplica,
  openLevelModel,
  type Outlook,
  Router,
} from "../router/mod.ts";
import { replicaOffer } from "./offers.ts";
import type { Shelf } from "./shelf.ts";

/** A family whose router runs here. */
interface RoutedFamily {
  readonly facts: FamilyFacts;
  readonly router: ActorRef<RouterProtocol>;
  readonly models: readonly LevelModel[];
  readonly unfollow: readonly (() => void)[];
}

/** What routers need. */
export interface RouterHostOptions {
  readonly system: System;
  readonly directory: Directory;
  readonly shelf: Shelf;
  /** Whether a replica of a level, as `levelKey()` names it, is on its way. */
  readonly outlook: (level: string) => Outlook;
}

/** Runs a router for each served family whose files this node has. */
export class RouterHost {
  readonly #options: RouterHostOptions;
  readonly #routed = new Map<string, RoutedFamily>();

  /** Runs none yet. */
  constructor(options: RouterHostOptions) {
    this.#options = options;
  }

  /** The routers by the names of their families. */
  get routers(): ReadonlyMap<string, ActorRef<RouterProtocol>> {
    return new Map([...this.#routed].map(([name, { router }]) => [name, router]));
  }

  /** The models of each family, small to giant. */
  get models(): ReadonlyMap<string, readonly LevelModel[]> {
    return new Map([...this.#routed].map(([name, { models }]) => [name, models]));
  }

  /** Starts and stops routers until they are those of these families. Rejects when one cannot start. */
  async serve(families: readonly FamilyFacts[]): Promise<void> {
    for (const [name, routed] of this.#routed) {
      const facts = families.find((family) => family.name === name);
      if (!facts || !isDeepStrictEqual({ ...facts, since: 0 }, { ...routed.facts, since: 0 })) {
        await this.#stop(name, routed);
      }
    }
    for (const facts of families) {
      const isHere = facts.levels.every(({ model }) => this.#options.shelf.find(model));
      if (isHere && !this.#routed.has(facts.name)) {
        this.#routed.set(facts.name, await this.#start(facts));
      }
    }
  }

  /** Follows no more who comes and goes; the routers stop with their system. */
  close(): void {
    for (const { unfollow } of this.#routed.values()) unfollow.forEach((end) => end());
  }

  async #start(facts: FamilyFacts): Promise<RoutedFamily> {
    const { system, directory, outlook } = this.#options;
    const { name: family } = facts;
    const models = await Promise.all(facts.levels.map((level) => this.#open(level)));
    const levels = models.map((model, i) => {
      const key = levelKey({ family, level: model.name });
      return new Level(model, { system, ...facts.levels[i]!, outlook: () => outlook(key) });
    });
    const args = { name: facts.name, levels, q: facts.q };
    const router = system.spawn(Router, args, { id: actorName(facts.name) });
    await system.ready(router);
    const unfollow = levels.map((level) => {
      const name = replicaOffer(facts.name, level.name, level.model.hash);
      return directory.follow(name, (offers) => level.update(offers.map(replicaOf)));
    });
    return { facts, router, models, unfollow };
  }

  async #open({ config, model: hash }: LevelFacts): Promise<LevelModel> {
    const { path, facts } = this.#options.shelf.find(hash)!;
    const { limits } = layOut(config, facts);
    return await openLevelModel(config.name, path, limits.context, hash);
  }

  async #stop(name: string, { router, unfollow }: RoutedFamily): Promise<void> {
    this.#routed.delete(name);
    unfollow.forEach((end) => end());
    await this.#options.system.stop(router);
  }
}

function replicaOf({ address, facts }: Offer): OfferedReplica {
  return { address, draining: (facts as { draining?: unknown } | undefined)?.draining === true };
}
