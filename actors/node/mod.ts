/**
 * Nodes: everything of a configuration started in one process, and the commands of `deno task`.
 * @module
 */
export { askAll, type AskAllOptions, collectAnswer, type CollectedAnswer } from "./ask_all.ts";
export { bundledFamily } from "./bundled.ts";
export { type CalibrationRun, fitCalibration } from "./calibration_run.ts";
export { describeError, runCommand } from "./command.ts";
export { isExactMatch, ItemsError, type LabelledPrompt, parseItems, toPrompt } from "./items.ts";
export { type NodeOptions, type NodeProgress, startNode, type TandemNode } from "./node.ts";
export { progressLine } from "./progress.ts";
