import assert from "node:assert/strict";
import {
  type ActorRef,
  createMemoryNetwork,
  createSystem,
  defineActor,
  FakeClock,
  type MemoryNetwork,
  type Rng,
  seededRng,
  type System,
} from "../../runtime/mod.ts";
import { checkHistory, count, type HistoryEvent } from "./support/history.ts";
import { silent } from "./support/lanes.ts";

interface RecorderProtocol {
  record(entry: { from: string; n: number }): number;
  numbers(to: number): AsyncIterable<number>;
}

const nodes = ["a", "b", "c"];
const steps = 120;

/** One seeded run of a cluster in trouble. */
class Simulation {
  readonly history: HistoryEvent[] = [];
  readonly clock = new FakeClock();
  readonly network: MemoryNetwork;
  readonly #rng: Rng;
  readonly #systems: Map<string, System>;
  readonly #pending: Promise<void>[] = [];
  #next = 0;

  constructor(seed: number) {
    this.#rng = seededRng(seed);
    this.network = createMemoryNetwork({
      clock: this.clock,
      rng: this.#rng.split("network"),
      latencyMs: [1, 10],
      loss: 0.02,
      duplicate: 0.05,
      reorder: 0.05,
    });
    this.#systems = new Map(nodes.map((node) => [node, this.#join(node)]));
  }

  async run(): Promise<void> {
    for (let step = 0; step < steps; step++) {
      const from = this.#pick();
      const to = this.#pick();
      const act = this.#rng.next();
      if (act < 0.45) this.#tell(from, to);
      else if (act < 0.8) this.#ask(from, to);
      else if (act < 0.9) this.#stream(from, to);
      else if (act < 0.95) this.#cut(from);
      else await this.#restart(from);
      await this.clock.advance(this.#rng.integer(8));
    }
    await this.clock.advance(1000);
    await Promise.all(this.#pending);
    const closing = [...this.#systems.values()].map((system) => system.shutdown());
    await this.clock.advance(10_000);
    await Promise.all(closing);
  }

  #join(node: string): System {
    const { clock, history } = this;
    const Recorder = defineActor<RecorderProtocol, null>({
      kind: "recorder",
      start: () => null,
      receive: {
        record(_, { from, n }, { self, deadline }) {
          history.push({ type: "started", at: clock.now(), deadline });
          history.push({ type: "handled", by: self.address, from, n });
          return n;
        },
        async *numbers(_, to) {
          for (let n = 0; n < to; n++) {
            yield n;
            await null;
          }
        },
      },
    });
    const system = createSystem({
      node,
      clock,
      rng: this.#rng.split(`${node}${clock.now()}`),
      transport: this.network.connect(node),
      log: silent,
      graceMs: 0,
    });
    system.spawn(Recorder, undefined, { id: "one" });
    return system;
  }

  #pick(): string {
    return nodes[this.#rng.integer(nodes.length)]!;
  }

  #ref(from: string, to: string): ActorRef<RecorderProtocol> {
    return this.#systems.get(from)!.ref(`${to}/main/recorder/one`);
  }

  #tell(from: string, to: string): void {
    this.#ref(from, to).tell("record", { from, n: this.#next++ }, { deadlineMs: 60 });
  }

  #ask(from: string, to: string): void {
    const deadline = this.clock.now() + 5 + this.#rng.integer(50);
    const n = this.#next++;
    const asked = this.#ref(from, to).ask("record", { from, n }, { deadline }).then(
      (answer) => {
        assert.equal(answer, n);
        this.history.push({ type: "answered", at: this.clock.now(), deadline });
      },
      (error) => void this.history.push({ type: "failed", code: error.code }),
    );
    this.#pending.push(asked);
  }

  #stream(from: string, to: string): void {
    const read = async () => {
      let expected = 0;
      const options = { credits: 4, deadlineMs: 400 };
      try {
        for await (const n of this.#ref(from, to).stream("numbers", 20, options)) {
          assert.equal(n, expected++, "an item is missing, doubled or out of order");
        }
        assert.equal(expected, 20, "a stream that ends is whole");
      } catch (error) {
        this.history.push({ type: "failed", code: (error as { code: string }).code });
        if (error instanceof assert.AssertionError) throw error;
      }
    };
    this.#pending.push(read());
  }

  #cut(node: string): void {
    this.clock.setTimer(30, this.network.partition(node));
  }

  async #restart(node: string): Promise<void> {
    const closing = this.#systems.get(node)!.shutdown();
    await this.clock.advance(1);
    await closing;
    this.#systems.set(node, this.#join(node));
  }
}

Deno.test("a cluster in trouble keeps at-most-once, order and deadlines, for 25 seeds", async () => {
  const totals = { handled: 0, answered: 0, failed: 0, lost: 0, duplicated: 0, reordered: 0 };
  for (let seed = 0; seed < 25; seed++) {
    const simulation = new Simulation(seed);
    await simulation.run();
    try {
      checkHistory(simulation.history);
    } catch (error) {
      throw new Error(`Seed ${seed} breaks a guarantee`, { cause: error });
    }
    for (const type of ["handled", "answered", "failed"] as const) {
      totals[type] += count(simulation.history, type);
    }
    for (const fault of ["lost", "duplicated", "reordered"] as const) {
      totals[fault] += simulation.network.counts[fault];
    }
  }
  assert.ok(totals.handled > 1000 && totals.answered > 400, JSON.stringify(totals));
  for (const [what, times] of Object.entries(totals)) assert.ok(times > 20, `${what}: ${times}`);
});

Deno.test("a simulated cluster repeats itself for the same seed", async () => {
  const [first, second] = [new Simulation(3), new Simulation(3)];
  await first.run();
  await second.run();
  assert.deepEqual(first.history, second.history);
  assert.deepEqual(first.network.counts, second.network.counts);
});

Deno.test("checkHistory() finds each breach", () => {
  const handled = (n: number): HistoryEvent => ({ type: "handled", by: "x", from: "a", n });
  assert.throws(() => checkHistory([handled(1), handled(1)]), /handled twice/);
  assert.throws(() => checkHistory([handled(2), handled(1)]), /out of order/);
  assert.throws(() => checkHistory([{ type: "answered", at: 2, deadline: 1 }]), /answered at/);
});
