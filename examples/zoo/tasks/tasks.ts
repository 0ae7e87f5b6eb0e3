import { addsub, bool, count, date, max, mul, rev, roman, sort, unit } from "./kinds/mod.ts";
import type { Difficulty, Task, TaskName } from "./task.ts";

/** The ten tasks, in the order of `TASK_NAMES`. */
export const TASKS: readonly Task[] = [
  addsub,
  mul,
  max,
  sort,
  rev,
  count,
  date,
  roman,
  bool,
  unit,
];

/** What a prompt asks, how hard it is, and the right answer. */
export interface Description {
  readonly task: TaskName;
  readonly difficulty: Difficulty;
  readonly answer: string;
}

/** Reads a prompt of any task; `null` when it is in no task's grammar. */
export function describe(prompt: string): Description | null {
  if (!prompt.endsWith("=")) return null;
  for (const task of TASKS) {
    const reading = task.read(prompt.slice(0, -1));
    if (reading !== null) return { task: task.name, ...reading };
  }
  return null;
}

/** The right answer of a prompt; `null` when it is in no task's grammar. */
export function solve(prompt: string): string | null {
  return describe(prompt)?.answer ?? null;
}
