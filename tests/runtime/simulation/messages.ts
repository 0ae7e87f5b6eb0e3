import assert from "node:assert/strict";
import {
  acquireLease,
  ActorError,
  type ActorRef,
  type AskOptions,
  defineActor,
  Fence,
} from "../../../runtime/mod.ts";
import { checkHistory, type HistoryEvent, ofType } from "./history.ts";
import { type Life, World } from "./world.ts";

/** What the nodes ask of each other. */
interface RecorderProtocol {
  record(n: number): number;
  recordLarge(message: { n: number; bytes: Uint8Array }): number;
  numbers(to: number): AsyncIterable<number>;
  crash(): void;
}

const nodes = ["a", "b", "c"];
const steps = 60;
const leaseMs = 120;

/** Runs a cluster in trouble by a seed, then heals it, and checks all that happened. */
export async function simulateMessages(seed: number): Promise<readonly HistoryEvent[]> {
  const run = new Run(seed);
  await run.trouble();
  await run.heal();
  await run.world.close();
  const { history } = run.world;
  checkHistory(history);
  return history;
}

/** Nodes that ask each other all kinds of things, and stand for one lease. */
class Run {
  readonly world: World;
  readonly #rng;
  readonly #unsettled = new Map<number, Life>();
  readonly #breaches: string[] = [];
  /** What the lease protects. */
  readonly #fence = new Fence();
  #next = 0;

  constructor(seed: number) {
    this.world = new World(seed, {
      describe: () => ({ offers: [] }),
      settle: (life) => this.#settle(life),
    });
    this.#rng = this.world.rng.split("run");
    for (const node of nodes) this.world.start(node);
  }

  async trouble(): Promise<void> {
    const work = [this.#tell, this.#ask, this.#ask, this.#askLarge, this.#read, this.#crashActor];
    for (let step = 0; step < steps; step++) {
      if (this.#rng.next() < 0.12) this.world.trouble(nodes);
      const life = this.#pick();
      if (life) work[this.#rng.integer(work.length)]!.call(this, life);
      await this.world.clock.advance(this.#rng.integer(12));
    }
  }

  /** Everything works again: then all ends well, and within a second. */
  async heal(): Promise<void> {
    const { world } = this;
    world.heal();
    await world.clock.advance(1000);
    const first = this.#next;
    for (const life of world.lives.values()) {
      const seen = life.membership.members.map(({ node }) => node).sort();
      assert.deepEqual(seen, nodes, `${life.name} sees all nodes`);
      for (const to of nodes) this.#askOf(life, to, 200);
    }
    await world.clock.advance(200);
    const hanging = [...this.#unsettled].filter(([, life]) => world.isAlive(life));
    assert.deepEqual(hanging.map(([n]) => n), [], "every ask comes to an end");
    const answered = ofType(world.history, "answered").filter(({ n }) => n >= first);
    assert.equal(answered.length, nodes.length ** 2, "every node answers every node");
    assert.deepEqual(this.#breaches, []);
    const { at } = ofType(world.history, "obeyed").at(-1) ?? { at: 0 };
    assert.ok(at > world.clock.now() - 500, "somebody holds the lease");
  }

  // What runs on each node.

  #settle(life: Life): void {
    const note = (n: number, by: string) => {
      this.world.history.push({ type: "handled", n, by, at: this.world.clock.now() });
      return n;
    };
    const Recorder = defineActor<RecorderProtocol, null>({
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
    life.system.spawn(Recorder, undefined, { id: "one" });
    void this.#stand(life);
  }

  /** Holds the lease whenever it can, gives orders while it does, and sometimes gives it back. */
  async #stand({ name, process, system }: Life): Promise<void> {
    const { rng, store, log } = system;
    const { clock } = process;
    const { history, end } = this.world;
    const at = () => this.world.clock.now();
    const options = { store, clock, rng, log, key: "lease", holder: name, ttlMs: leaseMs };
    while (!end.aborted) {
      const lease = await acquireLease(options, end).catch(() => null);
      if (!lease) return;
      const { epoch, signal } = lease;
      history.push({ type: "took", holder: name, epoch, at: at() });
      const note = () => history.push({ type: "ended", holder: name, epoch, at: at() });
      signal.addEventListener("abort", note, { once: true });
      while (!signal.aborted && !end.aborted) {
        this.#order(epoch);
        await new Promise<void>((next) => clock.setTimer(10 + rng.integer(30), next));
        if (rng.next() < 0.1) await lease.release();
      }
    }
  }

  #order(epoch: number): void {
    try {
      this.#fence.admit(epoch);
      this.world.history.push({ type: "obeyed", epoch, at: this.world.clock.now() });
    } catch {
      // The holder stood still while another took over.
    }
  }

  // What nodes ask of each other.

  #tell(life: Life): void {
    const n = this.#sent(life, 60);
    try {
      this.#ref(life, this.#node()).tell("record", n, { deadlineMs: 60 });
    } catch (error) {
      this.#failed(n, error);
    }
  }

  #ask(life: Life): void {
    this.#askOf(life, this.#node(), 5 + this.#rng.integer(80));
  }

  #askOf(life: Life, to: string, deadlineMs: number): void {
    this.#await(life, deadlineMs, (n, options) => this.#ref(life, to).ask("record", n, options));
  }

  #askLarge(life: Life): void {
    const bytes = new Uint8Array(this.#rng.integer(9000));
    const ref = this.#ref(life, this.#node());
    this.#await(life, 100, (n, options) => ref.ask("recordLarge", { n, bytes }, options));
  }

  #crashActor(life: Life): void {
    this.#ref(life, this.#node()).ask("crash", undefined, { deadlineMs: 50 }).catch(() => {});
  }

  async #read(life: Life): Promise<void> {
    const options = { credits: 4, deadlineMs: 300 };
    let expected = 0;
    try {
      for await (const n of this.#ref(life, this.#node()).stream("numbers", 20, options)) {
        if (n !== expected++) this.#breaches.push(`stream has ${n} in place of ${expected - 1}`);
      }
      if (expected !== 20) this.#breaches.push(`stream ended after ${expected}`);
    } catch (error) {
      assert.ok(error instanceof ActorError, `${error}`);
    }
  }

  // What is noted of it.

  /** Asks, and notes how it ends. */
  #await(
    life: Life,
    deadlineMs: number,
    ask: (n: number, options: AskOptions) => Promise<number>,
  ): void {
    const n = this.#sent(life, deadlineMs);
    this.#unsettled.set(n, life);
    const settled = () => this.#unsettled.delete(n) && this.world.isAlive(life);
    ask(n, { deadlineMs }).then(
      (answer) => {
        if (answer !== n) this.#breaches.push(`answer ${answer} to ${n}`);
        if (settled()) this.world.history.push({ type: "answered", n, at: this.world.clock.now() });
      },
      (error) => settled() && this.#failed(n, error),
    );
  }

  #sent(life: Life, deadlineMs: number): number {
    const n = this.#next++;
    const deadline = this.world.clock.now() + deadlineMs;
    this.world.history.push({ type: "sent", n, from: life.name, deadline });
    return n;
  }

  #failed(n: number, error: unknown): void {
    assert.ok(error instanceof ActorError, `${error}`);
    const { code, retryable } = error;
    this.world.history.push({ type: "failed", n, at: this.world.clock.now(), code, retryable });
  }

  #ref(from: Life, to: string): ActorRef<RecorderProtocol> {
    return from.system.ref(`${to}/main/recorder/one`);
  }

  #node(): string {
    return nodes[this.#rng.integer(nodes.length)]!;
  }

  /** A node that runs, if the one that chance picks does. */
  #pick(): Life | undefined {
    const life = this.world.lives.get(this.#node());
    return life?.isPaused ? undefined : life;
  }
}
