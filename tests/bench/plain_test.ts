import { ok } from "node:assert/strict";
import { measureMachine } from "../../bench/plain/mod.ts";

Deno.test("measureMachine() gives positive rates for one thread and for two", async () => {
  for (const threads of [1, 2]) {
    const rates = await measureMachine({ threads, bytes: 1e6, rounds: 2 });
    ok(rates.readBandwidth > 0 && Number.isFinite(rates.readBandwidth));
    ok(rates.peakFlops > 0 && Number.isFinite(rates.peakFlops));
  }
});
