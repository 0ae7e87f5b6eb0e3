/**
 * Scores of levels and cascades on labelled items: exact match, intervals, paired differences.
 *
 * @module
 */
export {
  type Accuracy,
  accuracyOf,
  compare,
  evaluate,
  type Group,
  type PairedDifference,
  type SystemScore,
} from "./evaluate.ts";
export { formatDifference, formatScores } from "./format.ts";
export {
  type Interval,
  mcnemarProbability,
  type PairedCounts,
  pairedDifferenceInterval,
  wilsonInterval,
} from "./intervals.ts";
export {
  EvaluationError,
  type EvaluationErrorCode,
  type EvaluationRecord,
  isCorrect,
  type Outcome,
} from "./records.ts";
