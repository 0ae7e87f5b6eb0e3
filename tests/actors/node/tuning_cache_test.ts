import assert from "node:assert/strict";
import { createTuningCache } from "../../../actors/node/tuning_cache.ts";

/** As much of a web cache as is used, in memory. */
function storage(entries = new Map<string, string>()): Pick<CacheStorage, "open"> {
  const cache = {
    match: (address: string) => {
      const text = entries.get(address);
      return Promise.resolve(text === undefined ? undefined : new Response(text));
    },
    put: async (address: string, response: Response) => {
      entries.set(address, await response.text());
    },
  };
  return { open: () => Promise.resolve(cache as unknown as Cache) };
}

Deno.test("createTuningCache() gives back what it was given, by adapter", async () => {
  const warnings: string[] = [];
  const kept = storage();
  const cache = createTuningCache((line) => warnings.push(line), kept);
  assert.equal(await cache.get("ACME 1, deno"), undefined);
  await cache.set("ACME 1, deno", { threads: 64 });
  const next = createTuningCache((line) => warnings.push(line), kept);
  assert.deepEqual(await next.get("ACME 1, deno"), { threads: 64 });
  assert.equal(await next.get("ACME 1/../2?#, deno"), undefined);
  assert.deepEqual(warnings, []);
});

Deno.test("createTuningCache() warns of a cache that cannot be used", async () => {
  const warnings: string[] = [];
  const full = { open: () => Promise.reject(new Error("disk is full")) };
  const cache = createTuningCache((line) => warnings.push(line), full);
  assert.equal(await cache.get("ACME 1"), undefined);
  await cache.set("ACME 1", {});
  assert.deepEqual(warnings, [
    "Cannot read what was measured of the GPU: disk is full",
    "Cannot keep what was measured of the GPU: disk is full",
  ]);
});

Deno.test("createTuningCache() warns of text that is no JSON", async () => {
  const warnings: string[] = [];
  const address = "https://tandem.invalid/gpu/ACME";
  const broken = storage(new Map([[address, "{"]]));
  const cache = createTuningCache((line) => warnings.push(line), broken);
  assert.equal(await cache.get("ACME"), undefined);
  assert.equal(warnings.length, 1);
});
