import { type BenchOptions, type BenchReport, median } from "../harness.ts";
import type { NatsServer } from "../nats_server.ts";
import type { ModelShape } from "../shapes.ts";
import { Fleet, greedyTokens } from "./fleet.ts";

/** Large enough that a stage computes for longer than its activations travel. */
const shape: ModelShape = {
  ...{ name: "pipeline", dim: 512, layers: 8, ffn: 1408, heads: 8, kvHeads: 4 },
  ...{ vocab: 4096, contextLength: 512 },
};

/** Requests at once: full micro-batches for both stages. */
const REQUESTS = 32;

/**
 * How much of what two devices can do is left when a model's layers are split over them: tokens a second of one
 * replica in two stages on two nodes, over those of two whole replicas on the same nodes, which share the same
 * requests. Rounds alternate.
 */
export async function benchPipeline(
  { quick, log }: BenchOptions,
  server: NatsServer,
): Promise<BenchReport> {
  log("A pipeline of two nodes ...");
  await using fleet = await Fleet.start({
    nats: server.url,
    nodes: ["a", "b"],
    shape,
    families: {
      split: { replicas: 1, partitions: [{ layers: 4, node: "a" }, { layers: 4, node: "b" }] },
      whole: {},
    },
  });
  await fleet.ready("split", 1);
  await fleet.ready("whole", 2);
  const tokens = quick ? 8 : 32;
  await checkSame(fleet, tokens);
  const rates = { split: [] as number[], whole: [] as number[] };
  for (let round = 0; round <= (quick ? 1 : 5); round++) {
    const order = round % 2 === 0 ? ["split", "whole"] as const : ["whole", "split"] as const;
    for (const family of order) {
      const rate = await tokensPerSecond(fleet, family, tokens);
      if (round > 0) rates[family].push(rate);
    }
  }
  return report(rates.split, rates.whole);
}

/** Both ways must give the same tokens before they are timed. */
async function checkSame(fleet: Fleet, tokens: number): Promise<void> {
  const [split, whole] = await Promise.all(
    ["split", "whole"].map((family) =>
      Array.fromAsync(greedyTokens(fleet.router(family, "a"), 0, tokens))
    ),
  );
  if (split!.join() !== whole!.join()) throw new Error(`Expected ${whole} of two stages: ${split}`);
}

async function tokensPerSecond(fleet: Fleet, family: string, tokens: number): Promise<number> {
  const router = fleet.router(family, "a");
  const start = performance.now();
  const answers = await Promise.all(
    Array.from({ length: REQUESTS }, (_, n) => Array.fromAsync(greedyTokens(router, n, tokens))),
  );
  const count = answers.reduce((sum, ids) => sum + ids.length, 0);
  return count / ((performance.now() - start) / 1000);
}

function report(split: readonly number[], whole: readonly number[]): BenchReport {
  const efficiency = median(split.map((rate, round) => rate / whole[round]!));
  const row = (what: string, value: number | null, digits: number) => [
    what,
    value === null ? "-" : value.toFixed(digits),
  ];
  return {
    table: [
      ["figure", "value"],
      row("one replica in two stages, tokens/s", median(split), 1),
      row("two whole replicas, tokens/s", median(whole), 1),
      row("pipeline efficiency", efficiency, 2),
    ],
    json: {
      pipeline_tokens_per_s: median(split),
      pipeline_ideal_tokens_per_s: median(whole),
      pipeline_efficiency: efficiency,
    },
  };
}
