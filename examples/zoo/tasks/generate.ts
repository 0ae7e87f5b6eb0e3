import { TaskError } from "./errors.ts";
import { Random } from "./random.ts";
import { type Split, splitOf, SPLITS } from "./split.ts";
import type { Difficulty, TaskName } from "./task.ts";
import { TASKS } from "./tasks.ts";

/** A question and its answer. */
export interface Item {
  /** One line of ASCII that ends in `=`. */
  readonly prompt: string;
  /** What the model has to continue with, before its end token. */
  readonly answer: string;
  readonly task: TaskName;
  readonly difficulty: Difficulty;
}

/** What to generate. */
export interface GenerateOptions {
  readonly split: Split;
  /** How many items; 0 or more. */
  readonly count: number;
  /** A safe integer; the same options give the same items. */
  readonly seed: number;
  /** Weights of difficulties 1 to 4, at least one above 0; .25, .30, .25, .20 by default. */
  readonly difficulties?: readonly [number, number, number, number];
}

/** The weights of difficulties 1 to 4 by default. */
export const DEFAULT_DIFFICULTIES = [0.25, 0.3, 0.25, 0.2] as const;

const fruitlessDraws = 200_000;

/**
 * Generates the items of one split. Calibration and test items never repeat a prompt, so that small
 * grammars (one-digit sums) run out and count for less; training items may repeat.
 *
 * @throws {TaskError} `invalid_option` for a bad option; `exhausted` when there are not that many
 * different items.
 */
export function generate(options: GenerateOptions): Item[] {
  check(options);
  const random = new Random(options.seed);
  const weights = options.difficulties ?? DEFAULT_DIFFICULTIES;
  const taken = options.split === "train" ? null : new Set<string>();
  return Array.from({ length: options.count }, (_, made) => {
    for (let tries = 0; tries < fruitlessDraws; tries++) {
      const item = draw(random, weights);
      if (taken?.has(item.prompt) || splitOf(item.prompt) !== options.split) continue;
      taken?.add(item.prompt);
      return item;
    }
    throw new TaskError("exhausted", `Cannot find another different item: ${made} made`);
  });
}

function draw(random: Random, weights: readonly number[]): Item {
  const difficulty = 1 + random.weighted(weights) as Difficulty;
  const task = TASKS[random.weighted(TASKS.map((task) => task.weight))]!;
  const question = task.draw(difficulty, random);
  const { answer } = task.read(question)!;
  return { prompt: `${question}=`, answer, task: task.name, difficulty };
}

function check(options: GenerateOptions): void {
  const { split, count, seed, difficulties } = options;
  if (!SPLITS.includes(split)) invalid(`split is one of ${SPLITS.join(", ")}`, split);
  if (!Number.isSafeInteger(count) || count < 0) invalid("count is 0 or more", count);
  if (!Number.isSafeInteger(seed)) invalid("seed is a safe integer", seed);
  if (difficulties === undefined) return;
  const usable = difficulties.length === 4 && difficulties.some((weight) => weight > 0) &&
    difficulties.every((weight) => Number.isFinite(weight) && weight >= 0);
  if (!usable) invalid("difficulties are four weights", difficulties.join(","));
}

function invalid(rule: string, value: unknown): never {
  throw new TaskError("invalid_option", `Cannot generate items, ${rule}: ${value}`);
}
