import assert from "node:assert/strict";
import { createReferenceBackend } from "../../../kernels/reference/mod.ts";
import { createWasmBackend, createWasmThreads } from "../../../kernels/wasm/mod.ts";
import { sharedTest } from "../../support/shared.ts";
import { largestDifference } from "./zoo_parity.ts";

/** Another implementation's float32 arithmetic came within 2.9e-5. */
const TOLERANCE = 1e-4;

for (const level of ["small", "medium", "giant"]) {
  sharedTest(
    `reference logits of zoo/${level} match the recorded ones`,
    "models/zoo",
    async (zoo) => {
      const difference = await largestDifference(zoo, level, createReferenceBackend());
      assert(difference < TOLERANCE, `largest difference ${difference}`);
    },
  );

  sharedTest(`wasm logits of zoo/${level} match the recorded ones`, "models/zoo", async (zoo) => {
    const threads = await createWasmThreads(2);
    const backend = await createWasmBackend({ threads });
    const difference = await largestDifference(zoo, level, backend);
    backend.close();
    threads.close();
    assert(difference < TOLERANCE, `largest difference ${difference}`);
  });
}
