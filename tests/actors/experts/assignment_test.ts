import assert from "node:assert/strict";
import fc from "fast-check";
import { assign, type Place } from "../../../actors/experts/assignment.ts";
import { addRows, choicesOf, gatherRows } from "../../../actors/experts/rows.ts";

const topK = 3;

/** A request over experts of which each has one to three holders, and a few choices that are left out. */
const cases = fc.integer({ min: 1, max: 12 }).chain((experts) =>
  fc.record({
    holders: fc.array(fc.uniqueArray(fc.nat(4), { minLength: 1, maxLength: 3 }), {
      minLength: experts,
      maxLength: experts,
    }),
    chosen: fc.array(fc.integer({ min: -1, max: experts - 1 }), { maxLength: 60 }),
  })
).map(({ holders, chosen }) => {
  const tokens = Math.floor(chosen.length / topK);
  const experts = Int32Array.from(chosen.slice(0, tokens * topK));
  const weights = Float32Array.from(experts, (_, i) => i + 1);
  const places = holders.map((shards, expert) =>
    shards.map((shard): Place => ({ shard, index: expert * 10 + shard }))
  );
  return { request: { layer: 0, tokens, x: new Float32Array(tokens), experts, weights }, places };
});

Deno.test("assign() gives every choice to one shard that holds it, under the shard's own name", () => {
  fc.assert(fc.property(cases, ({ request, places }) => {
    const found = request.experts.map(() => -1);
    const weights = new Float32Array(found.length);
    const assignments = assign(request, (expert) => places[expert]!);
    for (const { shard, rows, experts, weights: given } of assignments) {
      assert.deepEqual(rows, rows.toSorted());
      assert.equal(new Set(rows).size, rows.length);
      assert.equal(experts.length, rows.length * topK);
      rows.forEach((_, i) => {
        const own = experts.subarray(i * topK, (i + 1) * topK);
        assert(own.some((index) => index >= 0), "no row is sent for nothing");
      });
      experts.forEach((index, i) => {
        if (index < 0) return;
        const at = rows[Math.floor(i / topK)]! * topK + i % topK;
        assert.equal(found[at], -1, "once");
        assert.equal(index % 10, shard);
        found[at] = Math.floor(index / 10);
        weights[at] = given[i]!;
      });
    }
    assert.deepEqual(found, request.experts);
    assert.deepEqual(weights, request.weights.map((w, i) => request.experts[i]! < 0 ? 0 : w));
    const shards = assignments.map(({ shard }) => shard);
    assert.deepEqual(shards, [...new Set(shards)].toSorted((a, b) => a - b), "one message a shard");
  }));
});

Deno.test("assign() evens out the load of experts that several shards hold", () => {
  const tokens = 30;
  const experts = Int32Array.from({ length: tokens }, (_, t) => t < 16 ? 0 : t < 24 ? 1 : 2);
  const weights = new Float32Array(tokens).fill(1);
  const request = { layer: 0, tokens, x: new Float32Array(tokens), experts, weights };
  const all = [{ shard: 0, index: 0 }, { shard: 1, index: 0 }];
  const rowsOf = (places: readonly (readonly Place[])[]) =>
    assign(request, (expert) => places[expert]!).map(({ rows }) => rows.length);
  assert.deepEqual(rowsOf([all, all, all]), [16, 14]);
  assert.deepEqual(rowsOf([all, all.slice(0, 1), all]), [14, 16]);
});

Deno.test("choicesOf() keeps the choices of some assignments only", () => {
  fc.assert(fc.property(cases, ({ request, places }) => {
    const assignments = assign(request, (expert) => places[expert]!);
    const halves = [0, 1].map((half) => assignments.filter((_, i) => i % 2 === half));
    const [even, odd] = halves.map((half) => choicesOf(request.experts, half, topK));
    request.experts.forEach((expert, i) => {
      assert.deepEqual([even![i]!, odd![i]!].toSorted((a, b) => a - b), [-1, expert]);
    });
  }));
});

Deno.test("addRows() puts back what gatherRows() took", () => {
  const x = Float32Array.of(1, 2, 3, 4, 5, 6);
  const rows = Int32Array.of(0, 2);
  const taken = gatherRows(x, rows, 2);
  assert.deepEqual(taken, Float32Array.of(1, 2, 5, 6));
  addRows(x, rows, taken);
  assert.deepEqual(x, Float32Array.of(2, 4, 3, 4, 10, 12));
  addRows(x, new Int32Array(0), new Float32Array(0));
});
