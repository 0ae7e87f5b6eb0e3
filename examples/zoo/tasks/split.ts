import { createHash } from "node:crypto";

/** The three sets that items belong to. */
export const SPLITS = ["train", "calibration", "test"] as const;

/** The name of a set. */
export type Split = typeof SPLITS[number];

/**
 * The set that a prompt belongs to, by its text alone, so that sets made by anyone at any time never
 * overlap: the first four bytes of its SHA-256, big-endian, modulo 100; under 6 test, under 10
 * calibration, else training.
 */
export function splitOf(prompt: string): Split {
  const part = createHash("sha256").update(prompt).digest().readUInt32BE(0) % 100;
  return part < 6 ? "test" : part < 10 ? "calibration" : "train";
}
