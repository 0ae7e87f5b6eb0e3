import assert from "node:assert/strict";
import { definePartitionOf, Replica, stepCapacity } from "../../../actors/replica/mod.ts";
import type { PartitionArgs } from "../../../actors/replica/mod.ts";
import { Level, type LevelModel } from "../../../actors/router/mod.ts";
import { ActorError, Directory, type Offer, type Rng, type System } from "../../../runtime/mod.ts";
import { type Life, World } from "../../runtime/simulation/world.ts";
import { fakePartition, fakeText, VOCAB } from "../replica/fake_model.ts";
import { fleetLimits, request } from "../replica/fleet.ts";

const workers = ["w1", "w2", "w3"];
const stages = 2;
const deadlineMs = 20_000;
const seeds = Number(Deno.env.get("SIMULATION_ROUTER_SEEDS") ?? 100);
const firstSeed = Number(Deno.env.get("SIMULATION_FIRST_SEED") ?? 0);

/** One generation that the router was asked for. */
interface Generation {
  readonly prompt: readonly number[];
  readonly tokens: number;
  readonly ids: number[];
  outcome: string;
}

/** A router and replicas of a model that computes hashes, each on a node of its own. */
class Run {
  readonly world: World;
  readonly generations: Generation[] = [];
  readonly #rng: Rng;
  readonly #level: Level;
  readonly #router: Life;
  readonly #offers = new Map<System, Offer[]>();

  constructor(seed: number) {
    this.world = new World(seed, {
      describe: ({ system }) => ({ offers: this.#offers.get(system) ?? [] }),
      settle: (life) => void (workers.includes(life.node) && this.#startReplica(life)),
    });
    this.#rng = this.world.rng.split("run");
    for (const worker of workers) this.world.start(worker);
    this.#router = this.world.start("r");
    const { system, membership } = this.#router;
    // A level needs no more of its model to pass on tokens.
    const model = { name: "m" } as LevelModel;
    this.#level = new Level(model, { system, threshold: null, used: true });
    new Directory(membership).follow(
      "replica/m",
      (offers) => this.#level.update(offers.map(({ address }) => ({ address, draining: false }))),
    );
  }

  /** Generations begin while nodes are in trouble; in the end everything works again. */
  async run(): Promise<void> {
    const { world } = this;
    await world.clock.advance(100);
    for (let step = 0; step < 40; step++) {
      if (this.#rng.next() < 0.2) world.trouble([...workers, "r"], ["r"]);
      if (this.#rng.next() < 0.4 && !this.#router.isPaused) void this.#generate();
      await world.clock.advance(this.#rng.integer(20));
    }
    world.heal();
    await world.clock.advance(12_000);
  }

  async #startReplica({ system, membership }: Life): Promise<void> {
    const capacity = stepCapacity(fleetLimits);
    const { pageSize } = fleetLimits;
    const { clock } = system;
    const Partition = definePartitionOf((_context, { layers }: PartitionArgs) => {
      const stage = layers.first;
      return Promise.resolve(
        fakePartition({ stage, of: stages, costMs: 1, pageSize, clock, begin: () => {} }),
      );
    });
    const partitions = Array.from({ length: stages }, (_, first) => {
      const args = { layers: { first, count: 1 }, pageSize, capacity };
      return system.spawn(Partition, args).address;
    });
    const { address } = system.spawn(Replica, { partitions, limits: fleetLimits }, { id: "m" });
    this.#offers.set(system, [{ name: "replica/m", address }]);
    await system.ready({ address });
    membership.announce();
  }

  async #generate(): Promise<void> {
    const { rng } = { rng: this.#rng };
    const prompt = Array.from({ length: 1 + rng.integer(12) }, () => rng.integer(VOCAB));
    const generation: Generation = {
      prompt,
      tokens: 1 + rng.integer(16),
      ids: [],
      outcome: "hangs",
    };
    this.generations.push(generation);
    const deadline = this.world.clock.now() + deadlineMs;
    const control = { signal: new AbortController().signal, deadline };
    try {
      for await (
        const { id } of this.#level.generate(request(prompt, generation.tokens), control)
      ) {
        generation.ids.push(id);
      }
      generation.outcome = "done";
    } catch (error) {
      assert.ok(error instanceof ActorError, `${error}`);
      generation.outcome = `${error.code}: ${error.message}`;
    }
  }
}

Deno.test(`Level loses no request and no token in a cluster in trouble, for ${seeds} seeds`, async () => {
  let count = 0;
  for (let seed = firstSeed; seed < firstSeed + seeds; seed++) {
    const run = new Run(seed);
    try {
      await run.run();
      for (const { prompt, tokens, ids, outcome } of run.generations) {
        assert.equal(outcome, "done", `of prompt ${prompt}`);
        assert.deepEqual(ids, fakeText(stages, prompt, tokens), `after prompt ${prompt}`);
      }
    } catch (error) {
      throw new Error(`Seed ${seed} loses something`, { cause: error });
    } finally {
      await run.world.close();
    }
    count += run.generations.length;
  }
  assert.ok(count > seeds * 5, `too little happened: ${count}`);
});
