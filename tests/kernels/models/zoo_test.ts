import assert from "node:assert/strict";
import { sharedTest } from "../../support/shared.ts";
import { testedBackends } from "./backends.ts";
import { largestDifference } from "./zoo_parity.ts";

/** Another implementation's float32 arithmetic came within 2.9e-5. */
const TOLERANCE = 1e-4;

for (const { name, with: withBackends } of testedBackends) {
  for (const level of ["small", "medium", "giant"]) {
    sharedTest(
      `${name} logits of zoo/${level} match the recorded ones`,
      "models/zoo",
      (zoo) =>
        withBackends(async (create) => {
          const difference = await largestDifference(zoo, level, await create());
          assert(difference < TOLERANCE, `largest difference ${difference}`);
        }),
    );
  }
}
