/** The calibration file of a family: thresholds, and the models that they were fitted on. */
import { z } from "zod";

/** The version of the file format that this code writes and reads. */
export const CALIBRATION_VERSION = 1;

const accuracy = z.record(z.string(), z.number().min(0).max(1));

const schema = z.strictObject({
  version: z.literal(CALIBRATION_VERSION),
  family: z.string().min(1).max(256),
  /** The confidence signal. */
  signal: z.strictObject({ kind: z.literal("quantile"), q: z.number().min(0).max(1) }),
  /** Small to giant. `threshold` is the least confidence that accepts; `null` always accepts. */
  levels: z.array(z.strictObject({
    name: z.string().min(1).max(256),
    model: z.string().regex(/^sha256(-sampled)?:[0-9a-f]{64}$/),
    threshold: z.number().max(0).nullable(),
    /** Whether the cascade visits the level; one that does not pay is left out. */
    used: z.boolean(),
  })).min(1).max(64),
  /** What the fit saw: for people, and for noticing drift. */
  fit: z.strictObject({
    items: z.int().min(1),
    tolerance: z.number().min(0).max(1),
    accuracy,
    visits: accuracy,
    cost: z.strictObject({ cascade: z.number(), last: z.number() }),
  }),
});

/** A parsed calibration file. */
export type Calibration = z.infer<typeof schema>;

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
