import manifest from "../deno.json" with { type: "json" };

/** The version of this build. */
export const version: string = manifest.version;
