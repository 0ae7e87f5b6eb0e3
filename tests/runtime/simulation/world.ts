import {
  createMemoryNetwork,
  createSystem,
  type Description,
  FakeClock,
  Membership,
  type MemoryNetwork,
  type Rng,
  seededRng,
  type System,
} from "../../../runtime/mod.ts";
import { silent } from "../support/lanes.ts";
import type { HistoryEvent } from "./history.ts";
import { Process } from "./process.ts";
import { createFlakyStore, type FlakyStore } from "./store.ts";

/** One life of a node. */
export interface Life {
  /** The node's name. */
  readonly node: string;
  /** The node's name and the number of the life. */
  readonly name: string;
  readonly process: Process;
  readonly system: System;
  readonly membership: Membership;
  isPaused: boolean;
}

/** What a simulation puts into its nodes. */
export interface Settlement {
  /** What a node tells of itself besides its name. */
  describe(life: Pick<Life, "node" | "system">): Description;
  /** Starts what runs on a node. */
  settle(life: Life): void;
}

const heartbeatMs = 20;
const deadMs = 80;

/** A cluster in one test: its nodes, what is between them, and the history of what they did. */
export class World {
  readonly history: HistoryEvent[] = [];
  readonly clock = new FakeClock();
  readonly network: MemoryNetwork;
  readonly rng: Rng;
  readonly store: FlakyStore;
  readonly lives = new Map<string, Life>();
  readonly #settlement: Settlement;
  readonly #faults;
  readonly #all: Life[] = [];
  readonly #remedies = new Set<() => void>();
  readonly #end = new AbortController();

  constructor(seed: number, settlement: Settlement) {
    this.#settlement = settlement;
    this.rng = seededRng(seed);
    this.#faults = {
      clock: this.clock,
      rng: this.rng.split("network"),
      latencyMs: [1, 8] as const,
      loss: 0.01,
      duplicate: 0.03,
      reorder: 0.03,
      maxPayload: 2000,
    };
    this.network = createMemoryNetwork(this.#faults);
    this.store = createFlakyStore(this.clock, this.rng.split("store"));
  }

  /** Aborted when the simulation is over. */
  get end(): AbortSignal {
    return this.#end.signal;
  }

  /** Starts a node, anew if it ran before. */
  start(node: string): Life {
    const name = `${node}#${this.#all.length}`;
    const rng = this.rng.split(name);
    const process = new Process(this.clock, 1 + (2 * rng.next() - 1) * 0.05);
    const transport = process.attach(this.network.connect(name));
    const { clock } = process;
    const options = { node, clock, rng, transport, log: silent, graceMs: 0 };
    const system = createSystem({ ...options, store: this.store });
    const membership = new Membership({
      system,
      transport,
      version: "1",
      protocol: { least: 1, most: 1 },
      describe: () => this.#settlement.describe({ node, system }),
      heartbeatMs,
      deadMs,
      quarantine: { losses: 1e6, withinMs: 1000, forMs: 1 },
    });
    const life = { node, name, process, system, membership, isPaused: false };
    this.lives.set(node, life);
    this.#all.push(life);
    this.#settlement.settle(life);
    return life;
  }

  /** Whether a life of a node is the present one. */
  isAlive(life: Life): boolean {
    return this.lives.get(life.node) === life;
  }

  // What befalls it.

  /** One of all troubles, for a while, by chance, to one of these nodes; spared ones do not crash. */
  trouble(nodes: readonly string[], spared: readonly string[] = []): void {
    const life = this.lives.get(nodes[this.rng.integer(nodes.length)]!);
    if (!life || life.isPaused) return;
    const ms = 10 + this.rng.integer(200);
    const troubles = [
      () => this.#until(ms, this.network.partition(life.name)),
      () => this.#until(ms, this.network.disconnect(life.name)),
      () => this.#pause(life, ms),
      () => this.#breakStore(ms),
      () => this.#crash(life, ms),
    ];
    const count = spared.includes(life.node) ? troubles.length - 1 : troubles.length;
    troubles[this.rng.integer(count)]!();
  }

  /** Ends all troubles: from now on everything works. */
  heal(): void {
    for (const remedy of [...this.#remedies]) remedy();
    this.store.isFlaky = this.store.isDown = false;
    // The network reads its options anew for each packet.
    Object.assign(this.#faults, { loss: 0, duplicate: 0, reorder: 0 });
  }

  /** Ends everything, the crashed too. */
  async close(): Promise<void> {
    this.#end.abort();
    for (const { membership, process } of this.#all) {
      membership.close();
      process.resume();
    }
    const closing = this.#all.map(({ system }) => system.shutdown());
    await this.clock.advance(10_000);
    await Promise.all(closing);
  }

  #pause(life: Life, ms: number): void {
    const at = this.clock.now();
    life.isPaused = true;
    life.process.pause();
    this.#until(ms, () => {
      this.history.push({ type: "paused", node: life.name, at, until: this.clock.now() });
      life.isPaused = false;
      if (this.isAlive(life)) life.process.resume();
    });
  }

  /** Ends a process as a crash does: nothing of it runs any more, and its connection is closed. */
  #crash(life: Life, ms: number): void {
    this.network.disconnect(life.name);
    life.process.pause();
    this.history.push({ type: "paused", node: life.name, at: this.clock.now(), until: Infinity });
    this.lives.delete(life.node);
    this.#until(ms, () => void this.start(life.node));
  }

  #breakStore(ms: number): void {
    this.store.isDown = true;
    this.#until(ms, () => void (this.store.isDown = false));
  }

  /** Lets it last for so long, or until all is healed. */
  #until(ms: number, remedy: () => void): void {
    const once = () => {
      if (this.#remedies.delete(once)) remedy();
    };
    this.#remedies.add(once);
    this.clock.setTimer(ms, once);
  }
}
