/**
 * The tasks of the zoo: ten kinds of one-line questions with one right answer, drawn from a seed.
 *
 * @module
 */
export { TaskError, type TaskErrorCode } from "./errors.ts";
export { DEFAULT_DIFFICULTIES, generate, type GenerateOptions, type Item } from "./generate.ts";
export { type Split, splitOf, SPLITS } from "./split.ts";
export { type Difficulty, TASK_NAMES, type TaskName } from "./task.ts";
export { describe, type Description, solve } from "./tasks.ts";
