import type { Random } from "./random.ts";

/** The names of the ten tasks, as the items carry them. */
export const TASK_NAMES = [
  "addsub",
  "mul",
  "max",
  "sort",
  "rev",
  "count",
  "date",
  "roman",
  "bool",
  "unit",
] as const;

/** The name of a task. */
export type TaskName = typeof TASK_NAMES[number];

/** How hard an item is: 1 easy, 4 hard. */
export type Difficulty = 1 | 2 | 3 | 4;

/** What a question means: its answer and how hard it is. */
export interface Reading {
  /** The one right answer, ASCII. */
  readonly answer: string;
  readonly difficulty: Difficulty;
}

/** One task: how its questions are drawn and how they are read. */
export interface Task {
  readonly name: TaskName;
  /** Its share of the draws, relative to the other tasks. */
  readonly weight: number;
  /** Draws a question, the prompt without its `=`. */
  draw(difficulty: Difficulty, random: Random): string;
  /** Answers a question, or `null` when it is not one of this task's. */
  read(question: string): Reading | null;
}

/** `value` as a difficulty, or `null` outside 1 to 4. */
export function asDifficulty(value: number): Difficulty | null {
  return value === 1 || value === 2 || value === 3 || value === 4 ? value : null;
}

/** A reading, or `null` when the difficulty is outside 1 to 4. */
export function reading(answer: string, difficulty: number): Reading | null {
  const level = asDifficulty(difficulty);
  return level === null ? null : { answer, difficulty: level };
}
