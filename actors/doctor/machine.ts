import { statfsSync } from "node:fs";
import { availableParallelism } from "node:os";
import { type Finding, reasonOf } from "./finding.ts";

/** The version of Deno whose WebGPU internals the fast readback was measured with. */
const TESTED_DENO = "2.9.6";

/** Memory below this holds no useful model beside the bundled family. */
const LEAST_BYTES = 2e9;

/** The runtime and the machine it runs on. */
export function inspectRuntime(): Finding {
  const { os, arch } = Deno.build;
  const cores = availableParallelism();
  const isTested = Deno.version.deno === TESTED_DENO;
  return {
    part: "runtime",
    verdict: isTested ? "ok" : "warning",
    summary: `Deno ${Deno.version.deno}, V8 ${Deno.version.v8}, ${os} ${arch}, ${cores} cores`,
    details: [],
    ...(!isTested && { advice: `Tandem is tested with Deno ${TESTED_DENO}` }),
    facts: { deno: Deno.version.deno, v8: Deno.version.v8, os, arch, cores },
  };
}

/** Memory that models may take. */
export function inspectMemory(): Finding {
  const { available, total } = Deno.systemMemoryInfo();
  const isShort = available < LEAST_BYTES;
  return {
    part: "memory",
    verdict: isShort ? "warning" : "ok",
    summary: `${gigabytes(available)} of ${gigabytes(total)} available`,
    details: [],
    ...(isShort && { advice: "Only small models will fit" }),
    facts: { availableBytes: available, totalBytes: total },
  };
}

/** Room where checkpoints would be stored. */
export function inspectDisk(folder: string): Finding {
  try {
    const { bavail, bsize } = statfsSync(folder);
    const free = bavail * bsize;
    return {
      part: "disk",
      verdict: "ok",
      summary: `${gigabytes(free)} free in ${folder}`,
      details: [],
      facts: { folder, freeBytes: free },
    };
  } catch (error) {
    return {
      part: "disk",
      verdict: "warning",
      summary: `Cannot read the free room of ${folder}: ${reasonOf(error)}`,
      details: [],
      facts: { folder, freeBytes: null },
    };
  }
}

function gigabytes(bytes: number): string {
  return `${(bytes / 1e9).toFixed(1)} GB`;
}
