import assert from "node:assert/strict";
import {
  ActorError,
  type ActorErrorCode,
  type Rng,
  seededRng,
  sleep,
} from "../../../runtime/mod.ts";
import { fakeText } from "./fake_model.ts";
import { Fleet, prompts, request } from "./fleet.ts";

const seeds = 40;
const stages = 3;
const tokens = 24;

/** After which a router goes on elsewhere, here also after silence. */
const losses: readonly ActorErrorCode[] = [
  "Terminated",
  "NoRoute",
  "Moved",
  "Timeout",
  "Overloaded",
];

/** Reads a generation from whichever replicas it takes; no token is lost or doubled. */
async function resume(fleet: Fleet, prompt: readonly number[], rng: Rng): Promise<number[]> {
  const ids: number[] = [];
  while (true) {
    const replica = fleet.replicas[rng.integer(fleet.replicas.length)]!;
    const rest = request(prompt, tokens, { ids: Int32Array.from([...prompt, ...ids]) });
    try {
      for await (const token of replica.stream("generate", rest, { deadlineMs: 30_000 })) {
        ids.push(token.id);
        if (token.finish) return ids;
      }
    } catch (error) {
      if (!(error instanceof ActorError && losses.includes(error.code))) throw error;
      await sleep(fleet.clock, 50);
    }
  }
}

async function simulate(seed: number): Promise<void> {
  const rng = seededRng(seed);
  await using fleet = await Fleet.start({
    costsMs: [3, 5, 4],
    replicas: 2,
    limits: { pages: 40 },
    args: { microBatches: 1 + rng.integer(4) },
    seed,
  });
  fleet.trouble({ loss: 0.003, duplicate: 0.05, reorder: 0.01, latencyMs: [0, 3] });
  const all = prompts(10);
  const texts = Promise.all(all.map((prompt, i) => resume(fleet, prompt, rng.split(`${i}`))));
  for (let i = 0; i < 4; i++) {
    await fleet.clock.advance(rng.integer(200));
    const [replica, stage] = [rng.integer(2), rng.integer(stages)];
    await fleet.stopPartition(replica, stage);
    await fleet.clock.advance(rng.integer(20));
    await fleet.startPartition(replica, stage);
  }
  fleet.trouble({});
  assert.deepEqual(await fleet.until(texts), all.map((prompt) => fakeText(stages, prompt, tokens)));
}

Deno.test(`generations end as the model says through lost messages and stages, ${seeds} seeds`, async () => {
  for (let seed = 1; seed <= seeds; seed++) {
    try {
      await simulate(seed);
    } catch (error) {
      throw new Error(`Failed with seed ${seed}`, { cause: error });
    }
  }
});
