import {
  type Interval,
  mcnemarProbability,
  type PairedCounts,
  pairedDifferenceInterval,
  wilsonInterval,
} from "./intervals.ts";
import { EvaluationError, type EvaluationRecord, isCorrect, outcomeOf } from "./records.ts";

/** How many of some items were answered rightly, with a Wilson interval of 95 %. */
export interface Accuracy extends Interval {
  readonly correct: number;
  readonly total: number;
  /** correct / total, 0 to 1. */
  readonly share: number;
}

/** The accuracy on the items of one task, one difficulty, or both. */
export interface Group {
  readonly task: string | null;
  readonly difficulty: number | null;
  readonly accuracy: Accuracy;
}

/** How one system did. */
export interface SystemScore {
  readonly system: string;
  readonly overall: Accuracy;
  readonly byTask: readonly Group[];
  readonly byDifficulty: readonly Group[];
  readonly byTaskAndDifficulty: readonly Group[];
  /** Mean tokens an item; `null` when any outcome lacks them. */
  readonly meanTokens: number | null;
  /** Share of the answers that each level gave; empty when any outcome lacks its level. */
  readonly answeredBy: Readonly<Record<string, number>>;
}

/** How two systems differ on the same items. */
export interface PairedDifference extends Interval {
  readonly first: string;
  readonly second: string;
  readonly counts: PairedCounts;
  /** Accuracy of the first minus that of the second, −1 to 1; `low` and `high` bound it. */
  readonly difference: number;
  /** Two-sided exact McNemar. */
  readonly probability: number;
}

/** The accuracy of `system` on `records`. Throws as `isCorrect` does. */
export function accuracyOf(records: readonly EvaluationRecord[], system: string): Accuracy {
  const correct = records.filter((record) => isCorrect(record, system)).length;
  const total = records.length;
  return {
    correct,
    total,
    share: total === 0 ? 0 : correct / total,
    ...wilsonInterval(correct, total),
  };
}

/**
 * Scores every system that the first record names, in its order.
 *
 * @throws {EvaluationError} `no_records`, or `missing_outcome` when a system skipped an item.
 */
export function evaluate(records: readonly EvaluationRecord[]): SystemScore[] {
  const [first] = records;
  if (first === undefined) throw new EvaluationError("no_records", "Cannot score no records");
  return Object.keys(first.outcomes).map((system) => score(records, system));
}

function score(records: readonly EvaluationRecord[], system: string): SystemScore {
  return {
    system,
    overall: accuracyOf(records, system),
    byTask: groups(records, system, true, false),
    byDifficulty: groups(records, system, false, true),
    byTaskAndDifficulty: groups(records, system, true, true),
    meanTokens: meanTokens(records, system),
    answeredBy: answeredBy(records, system),
  };
}

function groups(
  records: readonly EvaluationRecord[],
  system: string,
  byTask: boolean,
  byDifficulty: boolean,
): Group[] {
  const keyed = Map.groupBy(
    records,
    (record) => `${byDifficulty ? record.difficulty : ""} ${byTask ? record.task : ""}`,
  );
  return [...keyed.values()].map((members) => ({
    task: byTask ? members[0]!.task : null,
    difficulty: byDifficulty ? members[0]!.difficulty : null,
    accuracy: accuracyOf(members, system),
  })).sort(order);
}

function order(a: Group, b: Group): number {
  const [left, right] = [a.task ?? "", b.task ?? ""];
  if (left !== right) return left < right ? -1 : 1;
  return (a.difficulty ?? 0) - (b.difficulty ?? 0);
}

function meanTokens(records: readonly EvaluationRecord[], system: string): number | null {
  const tokens = records.map((record) => outcomeOf(record, system).tokens);
  if (!tokens.every((count) => count !== undefined)) return null;
  return tokens.reduce((sum, count) => sum + count, 0) / records.length;
}

function answeredBy(records: readonly EvaluationRecord[], system: string): Record<string, number> {
  const levels = records.map((record) => outcomeOf(record, system).level);
  if (!levels.every((level) => level !== undefined)) return {};
  const members = [...Map.groupBy(levels, (level) => level)];
  return Object.fromEntries(members.map(([level, list]) => [level, list.length / levels.length]));
}

/**
 * Compares two systems item by item: the difference of their accuracies with its interval of 95 %.
 *
 * @throws {EvaluationError} `no_records`, or `missing_outcome` when either skipped an item.
 */
export function compare(
  records: readonly EvaluationRecord[],
  first: string,
  second: string,
): PairedDifference {
  if (records.length === 0) throw new EvaluationError("no_records", "Cannot compare on no records");
  const counts = pairUp(records, first, second);
  return {
    first,
    second,
    counts,
    difference: (counts.onlyFirst - counts.onlySecond) / records.length,
    ...pairedDifferenceInterval(counts),
    probability: mcnemarProbability(counts.onlyFirst, counts.onlySecond),
  };
}

function pairUp(
  records: readonly EvaluationRecord[],
  first: string,
  second: string,
): PairedCounts {
  const counts = { both: 0, onlyFirst: 0, onlySecond: 0, neither: 0 };
  for (const record of records) {
    const right = isCorrect(record, second);
    if (isCorrect(record, first)) counts[right ? "both" : "onlyFirst"]++;
    else counts[right ? "onlySecond" : "neither"]++;
  }
  return counts;
}
