import type { FamilyStatus } from "../protocol.ts";

/** A model as OpenAI lists it, with what Tandem adds. */
export interface ModelEntry {
  readonly id: string;
  readonly object: "model";
  readonly created: number;
  readonly owned_by: string;
  readonly tandem: {
    readonly family: string;
    /** `null` = the cascade. */
    readonly level: string | null;
    readonly levels: readonly string[];
    /** Most tokens of prompt and answer; of a cascade, what every level can take. */
    readonly context: number;
    /** Confidence under which the level escalates; `null` = it never does. */
    readonly threshold: number | null;
  };
}

/** A family and its levels as models; `created` in seconds since the epoch. */
export function modelEntries(status: FamilyStatus, created: number): readonly ModelEntry[] {
  const { family } = status;
  const levels = status.levels.map(({ name }) => name);
  const entry = (level: string | null, context: number, threshold: number | null): ModelEntry => ({
    id: level === null ? family : `${family}/${level}`,
    object: "model",
    created,
    owned_by: "tandem",
    tandem: { family, level, levels, context, threshold },
  });
  const least = Math.min(...status.levels.map(({ context }) => context));
  return [
    entry(null, Number.isFinite(least) ? least : 0, null),
    ...status.levels.map(({ name, context, threshold }) => entry(name, context, threshold)),
  ];
}
