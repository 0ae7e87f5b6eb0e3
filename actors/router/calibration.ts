/** The calibration file of a family: thresholds, and the models that they were fitted on. */
import { z } from "zod";

/** The version of the file format that this code writes and reads. */
export const CALIBRATION_VERSION = 1;

/** A parsed calibration file. */
export interface Calibration {
  /** The version of the file format. */
  readonly version: typeof CALIBRATION_VERSION;
  /** Name of the family. */
  readonly family: string;
  /** The confidence signal: the `q` quantile, 0 to 1, of the log-probabilities of an answer's tokens. */
  readonly signal: { readonly kind: "quantile"; readonly q: number };
  /** Small to giant. */
  readonly levels: readonly CalibratedLevel[];
  /** What the fit saw: for people, and for noticing drift. */
  readonly fit: CalibrationFit;
}

/** A level as it was fitted. */
export interface CalibratedLevel {
  /** Its name within the family. */
  readonly name: string;
  /** Content hash of its model's folder. */
  readonly model: string;
  /** The least confidence that accepts, in nats and at most 0; `null` always accepts. */
  readonly threshold: number | null;
  /** Whether the cascade visits the level; one that does not pay is left out. */
  readonly used: boolean;
}

/** Figures of a fit. */
export interface CalibrationFit {
  /** Items that were asked. */
  readonly items: number;
  /** Accuracy that might be lost against the last level, 0 to 1. */
  readonly tolerance: number;
  /** Share of items answered right, 0 to 1, by each level and by `cascade`. */
  readonly accuracy: Readonly<Record<string, number>>;
  /** Share of items that visit each level, 0 to 1. */
  readonly visits: Readonly<Record<string, number>>;
  /** Mean cost of an item, in parameters times tokens, of the cascade and of the last level alone. */
  readonly cost: { readonly cascade: number; readonly last: number };
}

const shares = z.record(z.string(), z.number().min(0).max(1));

const schema: z.ZodType<Calibration> = z.strictObject({
  version: z.literal(CALIBRATION_VERSION),
  family: z.string().min(1).max(256),
  signal: z.strictObject({ kind: z.literal("quantile"), q: z.number().min(0).max(1) }),
  levels: z.array(z.strictObject({
    name: z.string().min(1).max(256),
    model: z.string().regex(/^sha256(-sampled)?:[0-9a-f]{64}$/),
    threshold: z.number().max(0).nullable(),
    used: z.boolean(),
  })).min(1).max(64),
  fit: z.strictObject({
    items: z.int().min(1),
    tolerance: z.number().min(0).max(1),
    accuracy: shares,
    visits: shares,
    cost: z.strictObject({ cascade: z.number(), last: z.number() }),
  }),
});

/** A calibration that cannot be used, in one line. */
export class CalibrationError extends Error {
  /** Its class. */
  override readonly name = "CalibrationError";
}

/** Reads the text of a calibration file; `path` is for messages. Throws `CalibrationError`. */
export function parseCalibration(text: string, path: string): Calibration {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    throw new CalibrationError(`Cannot read calibration ${path}: not JSON`);
  }
  const version = (json as { version?: unknown } | null)?.version;
  if (version !== CALIBRATION_VERSION) {
    throw new CalibrationError(
      `Cannot read calibration ${path}, version ${CALIBRATION_VERSION} expected: ${version}`,
    );
  }
  const result = schema.safeParse(json);
  if (result.success) return result.data;
  const issue = result.error.issues[0]!;
  throw new CalibrationError(
    `Cannot read calibration ${path}, ${issue.path.join(".")}: ${issue.message}`,
  );
}

/**
 * Checks that a calibration was fitted on exactly these models, small to giant. Throws `CalibrationError`
 * naming the level that differs.
 */
export function matchCalibration(
  calibration: Calibration,
  levels: readonly { readonly name: string; readonly model: string }[],
  path: string,
): void {
  const [fitted, served] = [calibration.levels, levels].map((list) =>
    list.map(({ name }) => name).join(", ")
  );
  if (fitted !== served) {
    throw new CalibrationError(
      `Cannot use calibration ${path} of levels ${fitted} for levels: ${served}`,
    );
  }
  levels.forEach(({ name, model }, i) => {
    const { model: expected } = calibration.levels[i]!;
    if (expected === model) return;
    throw new CalibrationError(
      `Cannot use calibration ${path}, level ${name} was fitted on another model: ${expected}`,
    );
  });
}
