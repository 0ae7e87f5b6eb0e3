/** Fits a calibration: asks every level all items, then replays cascades over the answers. */
import {
  activeParameters,
  type Calibration,
  CALIBRATION_VERSION,
  fitThresholds,
  type LevelModel,
  type OperatingPoint,
  type Outcome,
} from "../router/mod.ts";
import { askAll } from "./ask_all.ts";
import { isExactMatch, type LabelledPrompt, toPrompt } from "./items.ts";
import type { TandemNode } from "./node.ts";

/** What to fit and how. */
export interface CalibrationRun {
  /** Name of the family to fit. */
  readonly family: string;
  /** Prompts with their right answers. */
  readonly items: readonly LabelledPrompt[];
  /** Accuracy that may be lost against the last level, 0 to 1. */
  readonly tolerance: number;
  /** Quantile of the token log-probabilities that is the confidence. */
  readonly q: number;
  /** Prompts asked at once, from 1. */
  readonly concurrency: number;
  /** Called after each answer with how many of the level's are done. */
  readonly progress: (level: string, done: number) => void;
}

/** Runs the levels of a started node, which serves them with the same `q`, and fits the thresholds. */
export async function fitCalibration(node: TandemNode, run: CalibrationRun): Promise<Calibration> {
  const models = node.models.get(run.family)!;
  const outcomes: Outcome[][] = [];
  for (const model of models) outcomes.push(await outcomesOf(node, model, run));
  const items = run.items.map((_, i) => outcomes.map((level) => level[i]!));
  const point = fitThresholds(items, run.tolerance);
  return describe(models, run, outcomes, point);
}

async function outcomesOf(
  node: TandemNode,
  model: LevelModel,
  run: CalibrationRun,
): Promise<Outcome[]> {
  const chat = model.template !== undefined;
  const prompts = run.items.map((item) => toPrompt(item, chat));
  const answers = await askAll(node.routers.get(run.family)!, prompts, {
    level: model.name,
    concurrency: run.concurrency,
    progress: (done) => run.progress(model.name, done),
  });
  const parameters = activeParameters(model.spec);
  return answers.map(({ text, usage, route }, i) => ({
    confidence: route.confidence ?? -Infinity,
    correct: isExactMatch(text, run.items[i]!.answer),
    cost: parameters * (usage.promptTokens + usage.completionTokens),
  }));
}

function describe(
  models: readonly LevelModel[],
  run: CalibrationRun,
  outcomes: readonly Outcome[][],
  point: OperatingPoint,
): Calibration {
  const n = run.items.length;
  const mean = (list: readonly number[]) => list.reduce((sum, value) => sum + value, 0) / n;
  const names = models.map(({ name }) => name);
  const accuracies = outcomes.map((level) => mean(level.map(({ correct }) => Number(correct))));
  return {
    version: CALIBRATION_VERSION,
    family: run.family,
    signal: { kind: "quantile", q: run.q },
    levels: models.map(({ name, hash }, i) => ({
      name,
      model: hash,
      threshold: point.thresholds[i] ?? null,
      used: point.thresholds[i] !== undefined,
    })),
    fit: {
      items: n,
      tolerance: run.tolerance,
      accuracy: Object.fromEntries([
        ...names.map((name, i) => [name, accuracies[i]!]),
        ["cascade", point.accuracy],
      ]),
      visits: Object.fromEntries(names.map((name, i) => [name, point.visits[i]!])),
      cost: { cascade: point.cost, last: mean(outcomes.at(-1)!.map(({ cost }) => cost)) },
    },
  };
}
