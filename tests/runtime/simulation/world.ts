import {
  acquireLease,
  type ActorRef,
  createMemoryNetwork,
  createSystem,
  defineActor,
  FakeClock,
  Fence,
  Membership,
  type MemoryNetwork,
  type Rng,
  seededRng,
  type System,
} from "../../../runtime/mod.ts";
import { silent } from "../support/lanes.ts";
import type { HistoryEvent } from "./history.ts";
import { Process } from "./pausable.ts";
import { createFlakyStore } from "./store.ts";

/** What the nodes of a simulated cluster ask of each other. */
export interface RecorderProtocol {
  record(n: number): number;
  recordLarge(message: { n: number; bytes: Uint8Array }): number;
  numbers(to: number): AsyncIterable<number>;
  crash(): void;
}

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

const leaseMs = 120;
const heartbeatMs = 20;
const deadMs = 80;

/** A cluster in one test: its nodes, what is between them, and the history of what they did. */
export class World {
  readonly history: HistoryEvent[] = [];
  readonly clock = new FakeClock();
  readonly network: MemoryNetwork;
  readonly rng: Rng;
  readonly store;
  readonly lives = new Map<string, Life>();
  readonly #faults;
  readonly #all: Life[] = [];
  readonly #stop = new AbortController();
  /** What the leases protect. */
  readonly #fence = new Fence();

  constructor(seed: number, nodes: readonly string[]) {
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
    for (const node of nodes) this.start(node);
  }

  /** A reference of one node to the recorder of another. */
  ref(from: Life, to: string): ActorRef<RecorderProtocol> {
    return from.system.ref(`${to}/main/recorder/one`);
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
      describe: () => ({ offers: [] }),
      heartbeatMs,
      deadMs,
      quarantine: { losses: 1e6, withinMs: 1000, forMs: 1 },
    });
    const life = { node, name, process, system, membership, isPaused: false };
    system.spawn(this.#recorder(), undefined, { id: "one" });
    this.lives.set(node, life);
    this.#all.push(life);
    void this.#stand(life);
    return life;
  }

  /** Ends a node as a crash does: nobody hears of it any more. */
  crash(node: string): void {
    const life = this.lives.get(node)!;
    this.network.disconnect(life.name);
    life.process.pause();
    this.history.push({ type: "paused", node: life.name, at: this.clock.now(), until: Infinity });
    this.lives.delete(node);
  }

  /** Lets the network and the store work without a fault from now on. */
  heal(): void {
    this.store.isFlaky = this.store.isDown = false;
    // The network reads its options anew for each packet.
    Object.assign(this.#faults, { loss: 0, duplicate: 0, reorder: 0 });
  }

  /** Ends everything, the crashed too. */
  async close(): Promise<void> {
    this.#stop.abort();
    for (const { membership, process } of this.#all) {
      membership.close();
      process.resume();
    }
    const closing = this.#all.map(({ system }) => system.shutdown());
    await this.clock.advance(10_000);
    await Promise.all(closing);
  }

  #recorder() {
    const note = (n: number, by: string) => {
      this.history.push({ type: "handled", n, by, at: this.clock.now() });
      return n;
    };
    return defineActor<RecorderProtocol, null>({
      kind: "recorder",
      supervise: { restarts: 1e6, withinMs: 1 },
      start: () => null,
      receive: {
        record: (_, n, { self }) => note(n, self.address),
        recordLarge: (_, { n }, { self }) => note(n, self.address),
        async *numbers(_, to) {
          for (let n = 0; n < to; n++) {
            yield n;
            await null;
          }
        },
        crash: () => {
          throw new TypeError("Crashed on purpose");
        },
      },
    });
  }

  /** Holds the lease whenever it can, gives orders while it does, and sometimes gives it back. */
  async #stand({ name, process, system }: Life): Promise<void> {
    const { rng, store, log } = system;
    const { clock } = process;
    const at = () => this.clock.now();
    const options = { store, clock, rng, log, key: "lease", holder: name, ttlMs: leaseMs };
    while (!this.#stop.signal.aborted) {
      const lease = await acquireLease(options, this.#stop.signal).catch(() => null);
      if (!lease) return;
      const { epoch, signal } = lease;
      this.history.push({ type: "took", holder: name, epoch, at: at() });
      const note = () => this.history.push({ type: "ended", holder: name, epoch, at: at() });
      signal.addEventListener("abort", note, { once: true });
      while (!signal.aborted && !this.#stop.signal.aborted) {
        this.#order(epoch);
        await new Promise<void>((next) => clock.setTimer(10 + rng.integer(30), next));
        if (rng.next() < 0.1) await lease.release();
      }
    }
  }

  #order(epoch: number): void {
    try {
      this.#fence.admit(epoch);
      this.history.push({ type: "obeyed", epoch, at: this.clock.now() });
    } catch {
      // The holder stood still while another took over.
    }
  }
}
