/**
 * The zoo: a small and a giant model of ten kinds of questions, their items, and the scores of answers.
 *
 * @module
 */
export { escalationRate, evaluateFamily } from "./eval.ts";
export { accuracyOf, type EvaluationRecord } from "./evaluation/mod.ts";
export { generate, type Item } from "./tasks/mod.ts";
