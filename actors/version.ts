import manifest from "../deno.json" with { type: "json" };
import type { ProtocolRange } from "../runtime/mod.ts";

/** The version of this build. */
export const version: string = manifest.version;

/**
 * The protocols between nodes that this build speaks. A message that an older build would misunderstand raises
 * `most`; `least` follows once no such build is to be worked with any more.
 */
export const protocolRange: ProtocolRange = { least: 1, most: 1 };
