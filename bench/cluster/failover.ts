import type { BenchOptions, BenchReport } from "../harness.ts";
import type { NatsServer } from "../nats_server.ts";
import type { ModelShape } from "../shapes.ts";
import { Fleet, greedyTokens } from "./fleet.ts";

/** Small, so that what is measured is the failover and not the computing. */
const shape: ModelShape = {
  ...{ name: "failover", dim: 64, layers: 4, ffn: 96, heads: 4, kvHeads: 2 },
  ...{ vocab: 320, contextLength: 4096 },
};

const TOKENS = 1000;

/** Tokens that are read before the node is killed. */
const BEFORE = 50;

/** Requests of the load among which a node is killed, and how many run at once. */
const load = { requests: 200, atOnce: 20, tokens: 100 } as const;

/**
 * What a client notices of a node that is killed: the time from SIGKILL until tokens come again at a router of
 * another node, and requests under load that fail or give other tokens than undisturbed.
 */
export async function benchFailover(
  { quick, log }: BenchOptions,
  server: NatsServer,
): Promise<BenchReport> {
  await using fleet = await Fleet.start({
    nats: server.url,
    nodes: ["a", "b", "c"],
    shape,
    families: { twin: { replicas: 2, nodes: ["b", "c"], context: 2048 } },
  });
  const gaps: number[] = [];
  for (let round = 0; round < (quick ? 2 : 20); round++) {
    log(`Failover, round ${round + 1} ...`);
    await fleet.ready("twin", 2);
    gaps.push(await gapMs(fleet, round));
  }
  log("Failover under load ...");
  await fleet.ready("twin", 2);
  return report(gaps, await lostRequests(fleet));
}

/** Kills the node that generates, and starts it again once the answer is whole. */
async function gapMs(fleet: Fleet, round: number): Promise<number> {
  const expected = await Array.fromAsync(greedyTokens(fleet.router("twin", "a"), round, TOKENS));
  const ids: number[] = [];
  const arrivals: number[] = [];
  let [killed, killedAt] = ["", 0];
  for await (const id of greedyTokens(fleet.router("twin", "a"), round, TOKENS)) {
    arrivals.push(performance.now());
    if (ids.push(id) !== BEFORE) continue;
    killed = await generatingNode(fleet);
    killedAt = performance.now();
    await fleet.kill(killed);
  }
  if (ids.join() !== expected.join()) throw new Error("Expected the same tokens after a failover");
  await fleet.join(killed);
  return resumption(arrivals, killedAt) - killedAt;
}

async function generatingNode(fleet: Fleet): Promise<string> {
  const { levels } = await fleet.router("twin", "a").ask("status");
  const busy = levels[0]!.replicas.find(({ running }) => running > 0);
  if (!busy) throw new Error("Expected a replica that generates: none");
  return busy.address.split("/")[0]!;
}

/** When tokens came again: the end of the longest silence after the kill. */
function resumption(arrivals: readonly number[], killedAt: number): number {
  const after = [killedAt, ...arrivals.filter((at) => at > killedAt)];
  const silences = after.slice(1).map((at, i) => at - after[i]!);
  return after[silences.indexOf(Math.max(...silences)) + 1] ?? Infinity;
}

async function lostRequests(fleet: Fleet): Promise<number> {
  const router = fleet.router("twin", "a");
  const read = (prompt: number) => Array.fromAsync(greedyTokens(router, prompt, load.tokens));
  const expected = await Promise.all(Array.from({ length: load.atOnce }, (_, n) => read(n)));
  let [next, finished, lost] = [0, 0, 0];
  let killing: Promise<void> | undefined;
  const work = async () => {
    while (next < load.requests) {
      const prompt = next++ % load.atOnce;
      const ids = await read(prompt).catch(() => []);
      if (ids.join() !== expected[prompt]!.join()) lost++;
      if (++finished === load.requests / 4) killing = fleet.kill("b");
    }
  };
  await Promise.all(Array.from({ length: load.atOnce }, work));
  await killing;
  return lost;
}

function report(gaps: readonly number[], lost: number): BenchReport {
  const sorted = gaps.toSorted((a, b) => a - b);
  const quantile = (q: number) =>
    sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))]!;
  const [p50, p99] = [quantile(0.5), quantile(0.99)];
  return {
    table: [
      ["figure", "value"],
      [`SIGKILL to next token, p50 of ${gaps.length}, ms`, p50.toFixed(0)],
      [`SIGKILL to next token, p99 of ${gaps.length}, ms`, p99.toFixed(0)],
      [`lost of ${load.requests} requests while a node is killed`, String(lost)],
    ],
    json: { failover_gap_ms: { p50, p99 }, failover_rounds: gaps.length, lost_requests: lost },
  };
}
