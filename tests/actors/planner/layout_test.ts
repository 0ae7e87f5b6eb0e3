import assert from "node:assert/strict";
import fc from "fast-check";
import { apportion, layOut, LayoutError, split } from "../../../actors/planner/mod.ts";
import { giant, level } from "./support.ts";

const GIB = 2 ** 30;

Deno.test("layOut() knows how many layers one memory can hold", () => {
  assert.equal(layOut(level(), { ...giant, weightBytes: 2 * GIB }).partitionLayers, 12);
  assert.equal(layOut(level(), { ...giant, weightBytes: 9 * GIB }).partitionLayers, 4);
  assert.equal(layOut(level(), { ...giant, weightBytes: 90 * GIB }).partitionLayers, 0);
  assert.equal(layOut(level({ partitions: 5 }), giant).partitions, 5);
});

Deno.test("layOut() fits the context to the cache unless it was asked for", () => {
  const kvCache = 200 * giant.tokenBytes;
  for (const [kvDtype, tokens] of [["f32", 200], ["f16", 400], ["int8", 711]] as const) {
    const { limits } = layOut(level({ kvCache, kvDtype }), giant);
    assert.equal(limits.context, limits.pages * limits.pageSize);
    assert.equal(limits.context, Math.floor(tokens / limits.pageSize) * limits.pageSize);
  }
  assert.throws(() => layOut(level({ kvCache, context: 1000 }), giant), LayoutError);
  assert.equal(layOut(level({ context: 1000 }), giant).limits.context, 1000);
});

Deno.test("layOut() refuses what cannot be laid out, with the numbers", () => {
  const refuses = (settings: Parameters<typeof level>[0], message: RegExp) =>
    assert.throws(() => layOut(level(settings), giant), message);
  refuses({ partitions: 13 }, /12 layers into partitions: 13/);
  refuses({ partitions: [{ layers: 5 }, { layers: 6 }] }, /12 layers .* of layers in all: 11/);
  refuses({ expertShards: 33 }, /32 experts of giant over shards: 33/);
  refuses({ expertShards: [{ experts: [0, 32] }] }, /among the 32 experts of giant: 32/);
  refuses({ expertShards: [{ experts: [0, 1] }] }, /any of 32 experts of giant: 2 held/);
  refuses({ kvCache: 1 }, /in a KV cache of bytes: 1/);
});

Deno.test("split() leaves no gap and no overlap", () => {
  assert.deepEqual(split(10, 3), [
    { first: 0, count: 3 },
    { first: 3, count: 3 },
    { first: 6, count: 4 },
  ]);
});

Deno.test("apportion() gives largest remainders their due", () => {
  const shares = (...weights: number[]) => weights.map((weight) => ({ weight, most: 100 }));
  assert.deepEqual(apportion(12, shares(1, 1, 1)), [4, 4, 4]);
  assert.deepEqual(apportion(10, shares(3, 2, 1)), [5, 3, 2]);
  assert.deepEqual(apportion(3, shares(1000, 1, 1)), [1, 1, 1]);
  assert.deepEqual(apportion(5, [{ weight: 9, most: 2 }, { weight: 1, most: 9 }]), [2, 3]);
  assert.equal(apportion(2, shares(1, 1, 1)), null);
  assert.equal(apportion(5, [{ weight: 1, most: 2 }, { weight: 1, most: 2 }]), null);
});

Deno.test("apportion() keeps every bound, and strays from the ideal only for them", () => {
  const share = fc.record({
    weight: fc.double({ min: 0.01, max: 1000, noNaN: true }),
    most: fc.integer({ min: 1, max: 40 }),
  });
  fc.assert(fc.property(
    fc.integer({ min: 1, max: 100 }),
    fc.array(share, { minLength: 1, maxLength: 8 }),
    (total, shares) => {
      const parts = apportion(total, shares);
      const room = shares.reduce((sum, { most }) => sum + most, 0);
      assert.equal(parts !== null, total >= shares.length && total <= room);
      if (!parts) return;
      assert.equal(parts.reduce((sum, part) => sum + part, 0), total);
      parts.forEach((part, i) => assert(part >= 1 && part <= shares[i]!.most));
    },
  ));
});
