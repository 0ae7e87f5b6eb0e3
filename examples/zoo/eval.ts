/** `deno task eval`: exact match of every level and of the cascade, per task and difficulty. */
import { parseArgs } from "node:util";
import {
  askAll,
  bundledFamily,
  ConfigError,
  isExactMatch,
  type LabelledPrompt,
  parseItems,
  progressLine,
  resolveServeConfig,
  runCommand,
  startNode,
  type TandemNode,
  toPrompt,
} from "../../actors/mod.ts";
import {
  compare,
  evaluate,
  type EvaluationRecord,
  formatDifference,
  formatScores,
  type Outcome,
} from "./evaluation/mod.ts";
import { describe, generate } from "./tasks/mod.ts";

const help = `Measure exact match of every level of a family and of its cascade.

Usage: deno task eval [options]

  --family NAME     Which family (zoo)
  --config FILE     A tandem.json (default: the bundled family zoo)
  --items FILE      JSON lines with a prompt and its answer each (default: the zoo's test split)
  --count N         Items to generate without --items (2000)
  --seed N          Seed of the generated items (1)
  --concurrency N   Items asked at once (64)
  --threads N       Threads to compute with (one a core)
  --json            End with one line of JSON
  -h, --help        Show this`;

const options = {
  family: { type: "string", default: "zoo" },
  config: { type: "string" },
  items: { type: "string" },
  count: { type: "string", default: "2000" },
  seed: { type: "string", default: "1" },
  concurrency: { type: "string", default: "64" },
  threads: { type: "string" },
  json: { type: "boolean" },
  help: { type: "boolean", short: "h" },
} as const;

const CASCADE = "cascade";

if (import.meta.main) await runCommand(main);

async function main(): Promise<void> {
  const { values } = parseArgs({ args: Deno.args, options });
  if (values.help) return console.log(help);
  const items = values.items === undefined
    ? generate({
      split: "test",
      count: integer("count", values.count),
      seed: integer("seed", values.seed),
    })
    : parseItems(await Deno.readTextFile(values.items), values.items);
  const config = await resolveServeConfig({
    models: [],
    ...(values.config !== undefined && { config: values.config }),
    ...(values.threads !== undefined && { threads: integer("threads", values.threads) }),
  }, bundledFamily());
  const family = config.families.find(({ name }) => name === values.family);
  if (!family) {
    throw new ConfigError("Usage", `Cannot find a family of this name: ${values.family}`);
  }
  const node = await startNode({ ...config, families: [family] }, { progress: console.error });
  try {
    for (const warning of node.warnings) console.error(warning);
    const records = await evaluateFamily(
      node,
      family.name,
      items,
      integer("concurrency", values.concurrency),
      progressLine(items.length),
    );
    report(records, values.json === true);
  } finally {
    await node.close();
  }
}

/** Asks every level and the cascade all items. */
export async function evaluateFamily(
  node: TandemNode,
  family: string,
  items: readonly LabelledPrompt[],
  concurrency: number,
  progress: (system: string, done: number) => void = () => {},
): Promise<EvaluationRecord[]> {
  const router = node.routers.get(family)!;
  const models = node.models.get(family)!;
  const chat = models.every(({ template }) => template !== undefined);
  const prompts = items.map((item) => toPrompt(item, chat));
  const outcomes: Record<string, Outcome>[] = items.map(() => ({}));
  for (const system of [...models.map(({ name }) => name), CASCADE]) {
    const answers = await askAll(router, prompts, {
      concurrency,
      progress: (done) => progress(`${family}/${system}`, done),
      ...(system !== CASCADE && { level: system }),
    });
    answers.forEach(({ text, route, usage }, i) => {
      outcomes[i]![system] = {
        answer: text,
        correct: isExactMatch(text, items[i]!.answer),
        level: route.level,
        tokens: route.path.reduce((sum, visit) => sum + visit.tokens, 0) || usage.completionTokens,
        ...(route.confidence !== null && { confidence: route.confidence }),
      };
    });
  }
  return items.map((item, i) => ({ ...classify(item), outcomes: outcomes[i]! }));
}

/** Items of the zoo carry their task; others are one task of one difficulty. */
function classify({ prompt, answer }: LabelledPrompt): Omit<EvaluationRecord, "outcomes"> {
  const { task, difficulty } = describe(prompt) ?? { task: "other", difficulty: 1 };
  return { prompt, answer, task, difficulty };
}

/** Share of the cascade's answers that the last level gave. */
export function escalationRate(records: readonly EvaluationRecord[], last: string): number {
  return records.filter(({ outcomes }) => outcomes[CASCADE]!.level === last).length /
    records.length;
}

function report(records: readonly EvaluationRecord[], json: boolean): void {
  const scores = evaluate(records);
  const last = scores.at(-2)!.system;
  const difference = compare(records, CASCADE, last);
  const escalated = escalationRate(records, last);
  console.log(formatScores(scores));
  console.log(`\n${formatDifference(difference)}`);
  console.log(`Answered by ${last}: ${(100 * escalated).toFixed(1)} % of the cascade's requests`);
  if (!json) return;
  const accuracy = Object.fromEntries(scores.map(({ system, overall }) => [system, overall]));
  console.log(
    JSON.stringify({ items: records.length, accuracy, escalation_rate: escalated, difference }),
  );
}

function integer(name: string, text: string): number {
  const value = Number(text);
  if (Number.isSafeInteger(value) && value >= 0) return value;
  throw new ConfigError("Usage", `Cannot use --${name}, a whole number expected: ${text}`);
}
