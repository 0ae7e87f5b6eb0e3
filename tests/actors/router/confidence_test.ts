import assert from "node:assert/strict";
import fc from "fast-check";
import { isHopeless, lowQuantile } from "../../../actors/router/mod.ts";

const logprobs = fc.array(fc.double({ min: -20, max: 0, noNaN: true }), {
  minLength: 1,
  maxLength: 40,
});

Deno.test("lowQuantile() of q = 0 is the minimum, of q = 1 the maximum", () => {
  assert.equal(lowQuantile([-0.5, -3, -0.1], 0), -3);
  assert.equal(lowQuantile([-0.5, -3, -0.1], 0.5), -0.5);
  assert.equal(lowQuantile([-0.5, -3, -0.1], 1), -0.1);
  assert.equal(lowQuantile([], 0), null);
});

Deno.test("isHopeless() never gives up an answer that is accepted when complete", () => {
  const q = fc.constantFrom(0, 0.1, 0.25, 0.5, 1);
  const threshold = fc.double({ min: -10, max: 0, noNaN: true });
  fc.assert(
    fc.property(logprobs, q, threshold, fc.nat(20), (values, q, threshold, more) => {
      const accepted = lowQuantile(values, q)! >= threshold;
      if (!accepted) return;
      const judgement = { q, threshold, maxTokens: values.length + more };
      for (let n = 1; n <= values.length; n++) {
        assert.equal(isHopeless(values.slice(0, n), judgement), false);
      }
    }),
    { seed: 20, numRuns: 2000 },
  );
});

Deno.test("isHopeless() gives up at the first token below the threshold of a minimum", () => {
  const judgement = { q: 0, threshold: -1, maxTokens: 30 };
  assert.equal(isHopeless([-0.1, -0.9], judgement), false);
  assert.equal(isHopeless([-0.1, -1.1], judgement), true);
});
