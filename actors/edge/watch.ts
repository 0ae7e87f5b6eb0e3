import type { Catalog } from "./catalog.ts";
import { toHttpError } from "./errors.ts";
import type { FamilyStatus } from "../protocol.ts";

/** A family's state, or why it could not be asked. */
export type FamilyReport = FamilyStatus | {
  readonly family: string;
  readonly ready: false;
  readonly error: string;
};

/** Asks every family how it is; a family that does not answer is reported as not ready. */
export function reportFamilies(catalog: Catalog): Promise<FamilyReport[]> {
  return Promise.all(
    catalog.families.map((family): Promise<FamilyReport> =>
      catalog.status(family).catch((reason) => ({
        family,
        ready: false,
        error: toHttpError(reason).message,
      }))
    ),
  );
}

/** Whether there are families and all can answer, and if not which cannot. */
export function readiness(
  reports: readonly FamilyReport[],
  draining: boolean,
): { ready: boolean; draining: boolean; missing: readonly string[] } {
  const missing = reports.filter(({ ready }) => !ready).map(({ family }) => family);
  const ready = reports.length > 0 && missing.length === 0 && !draining;
  return { ready, draining, missing };
}
