import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { BundledFamily } from "../config/mod.ts";

/** The family that ships with Tandem: `examples/zoo`. */
export function bundledFamily(): BundledFamily {
  const path = (relative: string) =>
    fileURLToPath(new URL(`../../examples/zoo/${relative}`, import.meta.url));
  const calibration = path("calibration.json");
  return {
    name: "zoo",
    models: [path("models/small"), path("models/giant")],
    ...(existsSync(calibration) && { calibration }),
  };
}
