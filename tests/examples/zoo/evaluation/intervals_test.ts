import assert from "node:assert/strict";
import {
  type Interval,
  mcnemarProbability,
  pairedDifferenceInterval,
  wilsonInterval,
} from "../../../../examples/zoo/evaluation/mod.ts";

Deno.test("wilsonInterval() gives the intervals of Newcombe's 1998 examples", () => {
  close(wilsonInterval(81, 263), 0.2553, 0.3662);
  close(wilsonInterval(15, 148), 0.0624, 0.1605);
  close(wilsonInterval(0, 20), 0, 0.1611);
  close(wilsonInterval(1, 29), 0.0061, 0.1718);
  close(wilsonInterval(20, 20), 0.8389, 1);
  close(wilsonInterval(0, 0), 0, 1);
});

Deno.test("pairedDifferenceInterval() gives published intervals of method 10", () => {
  close(pairedDifferenceInterval(paired(36, 12, 2, 0)), 0.0569, 0.3404);
  close(pairedDifferenceInterval(paired(1, 1, 7, 12)), -0.507, -0.026, 5e-4);
});

Deno.test("pairedDifferenceInterval() turns round with its arguments", () => {
  const one = pairedDifferenceInterval(paired(800, 40, 25, 135));
  const other = pairedDifferenceInterval(paired(800, 25, 40, 135));
  close(one, -other.high, -other.low, 1e-12);
  close(pairedDifferenceInterval(paired(0, 0, 0, 0)), -1, 1);
});

Deno.test("pairedDifferenceInterval() covers the true difference about 95 times of 100", () => {
  const [both, onlyFirst, onlySecond] = [0.8, 0.06, 0.1];
  let covered = 0;
  let state = 12345;
  const next = () => (state = (state * 48271) % 2147483647) / 2147483647;
  for (let trial = 0; trial < 1000; trial++) {
    const counts = paired(0, 0, 0, 0);
    for (let i = 0; i < 200; i++) {
      const u = next();
      if (u < both) counts.both++;
      else if (u < both + onlyFirst) counts.onlyFirst++;
      else if (u < both + onlyFirst + onlySecond) counts.onlySecond++;
      else counts.neither++;
    }
    const { low, high } = pairedDifferenceInterval(counts);
    if (low <= -0.04 && -0.04 <= high) covered++;
  }
  assert.ok(covered >= 925 && covered <= 980, String(covered));
});

Deno.test("mcnemarProbability() is the exact two-sided binomial tail", () => {
  assert.equal(mcnemarProbability(0, 0), 1);
  assert.equal(mcnemarProbability(3, 3), 1);
  assert.ok(Math.abs(mcnemarProbability(1, 9) - 22 / 1024) < 1e-12);
  assert.ok(Math.abs(mcnemarProbability(7, 1) - 18 / 256) < 1e-12);
  assert.ok(mcnemarProbability(3000, 2000) < 1e-40);
});

function paired(both: number, onlyFirst: number, onlySecond: number, neither: number) {
  return { both, onlyFirst, onlySecond, neither };
}

function close(interval: Interval, low: number, high: number, tolerance = 5e-5): void {
  const off = Math.max(Math.abs(interval.low - low), Math.abs(interval.high - high));
  assert.ok(off <= tolerance, `${interval.low} to ${interval.high}`);
}
