import assert from "node:assert/strict";
import { layOut, LayoutError } from "../../../actors/node/mod.ts";
import type { LevelConfig } from "../../../actors/config/mod.ts";
import { parseModelSpec } from "../../../kernels/mod.ts";

const spec = parseModelSpec({
  architectures: ["MixtralForCausalLM"],
  hidden_size: 1024,
  intermediate_size: 768,
  num_hidden_layers: 12,
  num_attention_heads: 16,
  num_key_value_heads: 4,
  vocab_size: 32000,
  max_position_embeddings: 4096,
  num_local_experts: 32,
  num_experts_per_tok: 4,
});

const level = (settings: Partial<LevelConfig> = {}): LevelConfig => ({
  name: "giant",
  model: "/models/giant",
  replicas: 1,
  partitions: 1,
  expertShards: 0,
  device: "cpu",
  ...settings,
});

const GIB = 2 ** 30;

Deno.test("layOut() cuts a model that one memory cannot hold into partitions", () => {
  assert.deepEqual(layOut(level(), spec, 2 * GIB).partitions, [{ first: 0, count: 12 }]);
  const { partitions } = layOut(level(), spec, 9 * GIB);
  assert.deepEqual(partitions, [
    { first: 0, count: 4 },
    { first: 4, count: 4 },
    { first: 8, count: 4 },
  ]);
});

Deno.test("layOut() spreads experts over shards without gap or overlap", () => {
  const { expertShards } = layOut(level({ expertShards: 5 }), spec, GIB);
  let next = 0;
  for (const { first, count } of expertShards) {
    assert.equal(first, next);
    next += count;
  }
  assert.equal(next, 32);
});

Deno.test("layOut() fits the context to the cache unless it was asked for", () => {
  const small = 200 * 16 * 4 * 64 * 2 * 4 * 12 / 16;
  const { limits } = layOut(level({ kvCache: small }), spec, GIB);
  assert.equal(limits.context, limits.pages * limits.pageSize);
  assert(limits.context <= 200);
  assert.throws(() => layOut(level({ kvCache: small, context: 1000 }), spec, GIB), LayoutError);
  assert.equal(layOut(level({ context: 1000 }), spec, GIB).limits.context, 1000);
});

Deno.test("layOut() refuses what cannot be laid out, with the numbers", () => {
  assert.throws(
    () => layOut(level({ partitions: 13 }), spec, GIB),
    /12 layers into partitions: 13/,
  );
  assert.throws(
    () => layOut(level({ expertShards: 33 }), spec, GIB),
    /32 experts of giant over shards: 33/,
  );
  assert.throws(() => layOut(level({ kvCache: 1 }), spec, GIB), /in a KV cache of bytes: 1/);
  assert.throws(() => layOut(level(), spec, 90 * GIB), LayoutError);
});
