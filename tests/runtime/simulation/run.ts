import assert from "node:assert/strict";
import { ActorError, type AskOptions } from "../../../runtime/mod.ts";
import { checkHistory, type HistoryEvent, ofType } from "./history.ts";
import { type Life, World } from "./world.ts";

const nodes = ["a", "b", "c"];
const steps = 60;

/** Runs a cluster in trouble by a seed, then heals it, and checks all that happened. */
export async function simulate(seed: number): Promise<readonly HistoryEvent[]> {
  const run = new Run(seed);
  await run.trouble();
  await run.heal();
  await run.world.close();
  const { history } = run.world;
  checkHistory(history);
  return history;
}

/** One run: what the nodes ask of each other, and what befalls them meanwhile. */
class Run {
  readonly world: World;
  readonly #rng;
  readonly #unsettled = new Map<number, Life>();
  readonly #breaches: string[] = [];
  readonly #remedies = new Set<() => void>();
  #next = 0;

  constructor(seed: number) {
    this.world = new World(seed, nodes);
    this.#rng = this.world.rng.split("run");
  }

  async trouble(): Promise<void> {
    const work = [this.#tell, this.#ask, this.#ask, this.#askLarge, this.#read, this.#crashActor];
    const trouble = [this.#partition, this.#disconnect, this.#pause, this.#crash, this.#breakStore];
    for (let step = 0; step < steps; step++) {
      const acts = this.#rng.next() < 0.88 ? work : trouble;
      acts[this.#rng.integer(acts.length)]!.call(this);
      await this.world.clock.advance(this.#rng.integer(12));
    }
  }

  /** Everything works again: then all ends well, and within a second. */
  async heal(): Promise<void> {
    const { world } = this;
    for (const remedy of [...this.#remedies]) remedy();
    world.heal();
    await world.clock.advance(1000);
    const first = this.#next;
    for (const life of world.lives.values()) {
      const seen = life.membership.members.map(({ node }) => node).sort();
      assert.deepEqual(seen, nodes, `${life.name} sees all nodes`);
      for (const to of nodes) this.#askOf(life, to, 200);
    }
    await world.clock.advance(200);
    const hanging = [...this.#unsettled].filter(([, life]) => this.#isAlive(life));
    assert.deepEqual(hanging.map(([n]) => n), [], "every ask comes to an end");
    const answered = ofType(world.history, "answered").filter(({ n }) => n >= first);
    assert.equal(answered.length, nodes.length ** 2, "every node answers every node");
    assert.deepEqual(this.#breaches, []);
    const { at } = ofType(world.history, "obeyed").at(-1) ?? { at: 0 };
    assert.ok(at > world.clock.now() - 500, "somebody holds the lease");
  }

  // What the nodes do.

  #tell(): void {
    const life = this.#pick();
    if (!life) return;
    const n = this.#sent(life, 60);
    try {
      this.world.ref(life, this.#node()).tell("record", n, { deadlineMs: 60 });
    } catch (error) {
      this.#failed(n, error);
    }
  }

  #ask(): void {
    const life = this.#pick();
    if (life) this.#askOf(life, this.#node(), 5 + this.#rng.integer(80));
  }

  #askOf(life: Life, to: string, deadlineMs: number): void {
    this.#settle(
      life,
      deadlineMs,
      (n, options) => this.world.ref(life, to).ask("record", n, options),
    );
  }

  #askLarge(): void {
    const life = this.#pick();
    if (!life) return;
    const bytes = new Uint8Array(this.#rng.integer(9000));
    const ref = this.world.ref(life, this.#node());
    this.#settle(life, 100, (n, options) => ref.ask("recordLarge", { n, bytes }, options));
  }

  #crashActor(): void {
    const life = this.#pick();
    if (!life) return;
    this.world.ref(life, this.#node()).ask("crash", undefined, { deadlineMs: 50 }).catch(() => {});
  }

  #read(): void {
    const life = this.#pick();
    if (life) void this.#readStream(life);
  }

  async #readStream(life: Life): Promise<void> {
    const options = { credits: 4, deadlineMs: 300 };
    let expected = 0;
    try {
      for await (const n of this.world.ref(life, this.#node()).stream("numbers", 20, options)) {
        if (n !== expected++) this.#breaches.push(`stream has ${n} in place of ${expected - 1}`);
      }
      if (expected !== 20) this.#breaches.push(`stream ended after ${expected}`);
    } catch (error) {
      assert.ok(error instanceof ActorError, `${error}`);
    }
  }

  // What befalls them.

  #partition(): void {
    const life = this.#pick();
    if (life) this.#until(30 + this.#rng.integer(150), this.world.network.partition(life.name));
  }

  #disconnect(): void {
    const life = this.#pick();
    if (life) this.#until(10 + this.#rng.integer(150), this.world.network.disconnect(life.name));
  }

  #pause(): void {
    const life = this.#pick();
    if (!life) return;
    const at = this.world.clock.now();
    life.isPaused = true;
    life.process.pause();
    this.#until(10 + this.#rng.integer(250), () => {
      const until = this.world.clock.now();
      this.world.history.push({ type: "paused", node: life.name, at, until });
      life.isPaused = false;
      if (this.#isAlive(life)) life.process.resume();
    });
  }

  #crash(): void {
    const life = this.#pick();
    if (!life) return;
    this.world.crash(life.node);
    this.#until(1 + this.#rng.integer(200), () => void this.world.start(life.node));
  }

  #breakStore(): void {
    this.world.store.isDown = true;
    this.#until(20 + this.#rng.integer(200), () => void (this.world.store.isDown = false));
  }

  /** Lets it last for so long, or until all is healed. */
  #until(ms: number, remedy: () => void): void {
    const once = () => {
      if (this.#remedies.delete(once)) remedy();
    };
    this.#remedies.add(once);
    this.world.clock.setTimer(ms, once);
  }

  // What is noted of it.

  /** Asks, and notes how it ends. */
  #settle(
    life: Life,
    deadlineMs: number,
    ask: (n: number, options: AskOptions) => Promise<number>,
  ): void {
    const n = this.#sent(life, deadlineMs);
    this.#unsettled.set(n, life);
    const settled = () => this.#unsettled.delete(n) && this.#isAlive(life);
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

  #isAlive(life: Life): boolean {
    return this.world.lives.get(life.node) === life;
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
