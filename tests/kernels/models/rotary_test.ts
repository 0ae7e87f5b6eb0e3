import assert from "node:assert/strict";
import { inverseFrequencies, rotaryTable } from "../../../kernels/models/rotary.ts";
import type { RotaryScaling } from "../../../kernels/models/mod.ts";

const plain: RotaryScaling = { kind: "default" };

Deno.test("rotaryTable() holds the cosines of a position, then its sines", () => {
  const [headDim, theta, positions] = [8, 10_000, 50];
  const table = rotaryTable({ headDim, theta, scaling: plain }, positions);
  assert.equal(table.length, positions * headDim);
  for (let position = 0; position < positions; position++) {
    [1, 0.1, 0.01, 0.001].forEach((frequency, i) => {
      const row = position * headDim;
      assertNear(table[row + i]!, Math.cos(position * frequency), 4e-6);
      assertNear(table[row + 4 + i]!, Math.sin(position * frequency), 4e-6);
    });
  }
});

Deno.test("rotaryTable() turns nothing at position 0", () => {
  const table = rotaryTable({ headDim: 6, theta: 500, scaling: plain }, 1);
  assert.deepEqual([...table], [1, 1, 1, 0, 0, 0]);
});

Deno.test("inverseFrequencies() divides all by a linear factor", () => {
  const frequencies = inverseFrequencies({
    headDim: 4,
    theta: 100,
    scaling: { kind: "linear", factor: 4 },
  });
  assert.deepEqual([...frequencies], [0.25, Math.fround(0.025)]);
});

Deno.test("inverseFrequencies() scales by llama3 low, middle and high frequencies", () => {
  const scaling: RotaryScaling = {
    kind: "llama3",
    factor: 8,
    lowFrequencyFactor: 1,
    highFrequencyFactor: 4,
    originalPositions: 100,
  };
  const actual = inverseFrequencies({ headDim: 6, theta: 1000, scaling });
  const turns = 100 * 0.1 / (2 * Math.PI);
  const share = (turns - 1) / 3;
  const expected = [1, 0.1 * ((1 - share) / 8 + share), 0.01 / 8];
  expected.forEach((value, i) => assertNear(actual[i]!, value, 1e-7 * value));
});

Deno.test("inverseFrequencies() is continuous at both ends of llama3's middle", () => {
  const at = (turns: number) =>
    inverseFrequencies({
      headDim: 2,
      theta: 10_000,
      scaling: {
        kind: "llama3",
        factor: 8,
        lowFrequencyFactor: 1,
        highFrequencyFactor: 4,
        originalPositions: turns * 2 * Math.PI,
      },
    })[0]!;
  for (const end of [1, 4]) assertNear(at(end * (1 - 1e-9)), at(end * (1 + 1e-9)), 1e-7);
  assert.equal(at(0.5), 0.125);
  assert.equal(at(5), 1);
});

function assertNear(actual: number, expected: number, tolerance: number): void {
  assert(Math.abs(actual - expected) <= tolerance, `${actual} is not ${expected}`);
}
