import assert from "node:assert/strict";
import { fitThresholds, type LabelledItem, replay } from "../../../actors/router/mod.ts";
import { randomIntegers } from "../../support/random.ts";
import { sharedTest } from "../../support/shared.ts";

/** Items whose small level is right exactly when its confidence is over -0.5. */
function separable(count: number): LabelledItem[] {
  const random = randomIntegers(3);
  return Array.from({ length: count }, () => {
    const confidence = -random(1000) / 1000;
    return [
      { confidence, correct: confidence > -0.5, cost: 1 },
      { confidence: -0.1, correct: random(10) > 0, cost: 10 },
    ];
  });
}

Deno.test("fitThresholds() finds the threshold that separates right from wrong", () => {
  const items = separable(4000);
  const point = fitThresholds(items, 0);
  const [threshold] = point.thresholds;
  assert(Math.abs(threshold! + 0.55) < 0.06, `threshold ${threshold}`);
  assert(point.accuracy >= replay(items, [undefined, null]).accuracy);
  assert.equal(point.visits[0], 1);
});

Deno.test("fitThresholds() keeps the last level alone when no cascade preserves its accuracy", () => {
  const items: LabelledItem[] = Array.from({ length: 500 }, () => [
    { confidence: -0.1, correct: false, cost: 1 },
    { confidence: -0.1, correct: true, cost: 10 },
  ]);
  assert.deepEqual(fitThresholds(items, 0.0025).thresholds, [undefined, null]);
});

Deno.test("replay() counts visits, cost and paired gain", () => {
  const item = (confidence: number, small: boolean, giant: boolean): LabelledItem => [
    { confidence, correct: small, cost: 1 },
    { confidence: 0, correct: giant, cost: 5 },
  ];
  const items = [item(-0.1, true, false), item(-0.2, false, true), item(-3, false, true)];
  const point = replay(items, [-1, null]);
  assert.equal(point.accuracy, 2 / 3);
  assert.equal(point.gain, 0);
  assert.deepEqual(point.visits, [1, 1 / 3]);
  assert.equal(point.cost, 8 / 3);
});

sharedTest(
  "fitThresholds() leaves a medium out that does not pay",
  "models/zoo/test.jsonl",
  (path) => {
    const rows = Deno.readTextFileSync(path).trim().split("\n").map((line) => JSON.parse(line));
    const costs = { small: 1, medium: 3.6, giant: 6.6 };
    const items = rows.map((row) =>
      Object.entries(costs).map(([level, cost]) => ({
        confidence: row[level].min_logprob,
        correct: row[level].correct,
        cost,
      }))
    );
    const { thresholds, visits } = fitThresholds(items, 0.0025);
    assert.equal(thresholds[1], undefined);
    assert(visits[2]! < 0.35, `escalated ${visits[2]}`);
  },
);
