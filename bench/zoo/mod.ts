/**
 * `deno task bench zoo`: what the cascade saves on the bundled family, at which accuracy. Giant-only and
 * cascade answer the same items in turn, in one process.
 */
import { cpuUsage } from "node:process";
import {
  askAll,
  bundledFamily,
  resolveServeConfig,
  startNode,
  type TandemNode,
  toPrompt,
} from "../../actors/mod.ts";
import {
  accuracyOf,
  escalationRate,
  evaluateFamily,
  type EvaluationRecord,
  generate,
  type Item,
} from "../../examples/zoo/mod.ts";
import { type Bench, type BenchOptions, type BenchReport, median } from "../harness.ts";

const CONCURRENCY = 32;
const systems = ["giant", "cascade"] as const;

/** Requests a second and CPU-seconds a request of one system, a sample a round. */
interface Samples {
  readonly rate: number[];
  readonly cpu: number[];
}

/** The bench. */
export const bench: Bench = {
  name: "zoo",
  description:
    "accuracy, escalation rate, requests/s and CPU-seconds a request of giant-only and cascade",
  run,
};

async function run({ quick, log }: BenchOptions): Promise<BenchReport> {
  const [checked, timed, rounds] = quick ? [400, 100, 2] : [2000, 600, 5];
  const config = await resolveServeConfig({ models: [] }, bundledFamily());
  const node = await startNode(config, { progress: log });
  try {
    const items = generate({ split: "test", count: checked, seed: 1 });
    log(`Checking the answers to ${checked} items`);
    const records = await evaluateFamily(node, "zoo", items, CONCURRENCY);
    const samples = { giant: { rate: [], cpu: [] }, cascade: { rate: [], cpu: [] } };
    for (let round = 0; round < rounds; round++) {
      log(`Round ${round + 1} of ${rounds}`);
      const order = round % 2 === 0 ? systems : systems.toReversed();
      for (const system of order) await time(node, system, items.slice(0, timed), samples[system]);
    }
    return report(records, samples);
  } finally {
    await node.close();
  }
}

async function time(
  node: TandemNode,
  system: string,
  items: readonly Item[],
  samples: Samples,
): Promise<void> {
  const [started, before] = [performance.now(), cpuUsage()];
  const prompts = items.map((item) => toPrompt(item, true));
  const level = system === "cascade" ? {} : { level: system };
  await askAll(node.routers.get("zoo")!, prompts, { concurrency: CONCURRENCY, ...level });
  const seconds = (performance.now() - started) / 1000;
  const { user, system: kernel } = cpuUsage(before);
  samples.rate.push(items.length / seconds);
  samples.cpu.push((user + kernel) / 1e6 / items.length);
}

function report(
  records: readonly EvaluationRecord[],
  samples: Readonly<Record<typeof systems[number], Samples>>,
): BenchReport {
  const accuracy = Object.fromEntries(
    ["small", "giant", "cascade"].map((system) => [system, accuracyOf(records, system).share]),
  );
  const figures = Object.fromEntries(systems.map((system) => [system, {
    requests_per_s: median(samples[system].rate),
    cpu_s_per_request: median(samples[system].cpu),
  }]));
  const json = {
    items: records.length,
    accuracy,
    escalation_rate: escalationRate(records, "giant"),
    ...figures,
    speedup: figures.cascade!.requests_per_s! / figures.giant!.requests_per_s!,
    cpu_saving: figures.giant!.cpu_s_per_request! / figures.cascade!.cpu_s_per_request!,
  };
  const table = systems.map((system) => [
    system,
    `${(100 * accuracy[system]!).toFixed(1)} %`,
    figures[system]!.requests_per_s!.toFixed(1),
    (1000 * figures[system]!.cpu_s_per_request!).toFixed(1),
  ]);
  return { table: [["", "accuracy", "requests/s", "CPU ms/request"], ...table], json };
}
