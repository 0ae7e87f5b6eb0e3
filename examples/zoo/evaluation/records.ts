/** What one system (a level by itself, or the cascade) answered to one item. */
export interface Outcome {
  readonly answer: string;
  /** Whether it counts as right; by default, whether it equals the item's answer exactly. */
  readonly correct?: boolean;
  /** The level that gave a cascade's answer. */
  readonly level?: string;
  /** The router's confidence in it, any scale on which more is surer. */
  readonly confidence?: number;
  /** Tokens generated, all visited levels together. */
  readonly tokens?: number;
}

/** One item and what every system answered to it. */
export interface EvaluationRecord {
  readonly prompt: string;
  /** The right answer. */
  readonly answer: string;
  readonly task: string;
  readonly difficulty: number;
  /** By system: the name of a level, or `cascade`. */
  readonly outcomes: Readonly<Record<string, Outcome>>;
}

/** Why records could not be scored. */
export type EvaluationErrorCode = "no_records" | "missing_outcome";

/** Records that cannot be scored. */
export class EvaluationError extends Error {
  override readonly name = "EvaluationError";

  /** Makes an error with its code and message. */
  constructor(readonly code: EvaluationErrorCode, message: string) {
    super(message);
  }
}

/**
 * Whether `system` answered a record rightly.
 *
 * @throws {EvaluationError} `missing_outcome` when it did not answer it at all.
 */
export function isCorrect(record: EvaluationRecord, system: string): boolean {
  const outcome = outcomeOf(record, system);
  return outcome.correct ?? outcome.answer === record.answer;
}

/** What `system` answered to a record. Throws as `isCorrect` does. */
export function outcomeOf(record: EvaluationRecord, system: string): Outcome {
  const outcome = record.outcomes[system];
  if (outcome !== undefined) return outcome;
  throw new EvaluationError(
    "missing_outcome",
    `Cannot score ${system} without its answer to: ${record.prompt}`,
  );
}
