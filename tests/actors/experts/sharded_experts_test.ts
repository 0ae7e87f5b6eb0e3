import assert from "node:assert/strict";
import { askShards, type ExpertHolder } from "../../../actors/experts/mod.ts";
import type {
  ExpertShardProtocol,
  ShardRequest,
  WireFormat,
} from "../../../actors/replica_protocol.ts";
import { type ModelSpec, parseModelSpec } from "../../../kernels/mod.ts";
import {
  ActorError,
  createLogger,
  createMemoryNetwork,
  createSystem,
  defineActor,
  FakeClock,
  seededRng,
  type System,
} from "../../../runtime/mod.ts";
import { randomIntegers } from "../../support/random.ts";

const spec: ModelSpec = parseModelSpec({
  architectures: ["MixtralForCausalLM"],
  hidden_size: 16,
  intermediate_size: 8,
  num_hidden_layers: 3,
  num_attention_heads: 2,
  num_key_value_heads: 1,
  vocab_size: 32,
  max_position_embeddings: 64,
  num_local_experts: 6,
  num_experts_per_tok: 3,
});
const { dim } = spec;
const { topK } = spec.mixture!;
const layers = { first: 0, count: 3 };
const holdings = (...experts: number[]) => [{ layers, experts }];

/** What an expert answers: sums of such values depend on their order. */
const output = (layer: number, expert: number, value: number) =>
  Math.fround(value * (1 + expert / 7 + layer / 3));

interface FakeShards {
  readonly system: System;
  readonly clock: FakeClock;
  readonly holders: ExpertHolder[];
  /** What was asked, by shard. */
  readonly asked: ShardRequest[][];
  stop(shard: number): Promise<void>;
  /** Messages that came after a shard was stopped. */
  refused(shard: number): number;
}

/** Shards on nodes of their own; the network takes a random time. */
async function withShards(
  held: readonly ExpertHolder["holds"][],
  body: (shards: FakeShards) => Promise<void>,
  seed = 1,
): Promise<void> {
  const clock = new FakeClock();
  const network = createMemoryNetwork({ clock, rng: seededRng(seed), latencyMs: [1, 20] });
  const log = createLogger({ level: "silent" });
  const join = (node: string) =>
    createSystem({ node, clock, log, transport: network.connect(node) });
  const system = join("asker");
  const asked: ShardRequest[][] = held.map(() => []);
  const nodes = held.map((holds, i) => {
    const node = join(`n${i}`);
    const shard = defineActor<ExpertShardProtocol, null>({
      kind: "experts",
      start: () => null,
      receive: {
        apply: (_, request) => {
          asked[i]!.push(request);
          return fakeApply(request, holds);
        },
      },
    });
    const ref = node.spawn(shard, undefined, { id: "shard" });
    return { node, holder: { address: ref.address, holds } };
  });
  const holders = nodes.map(({ holder }) => holder);
  const stop = (shard: number) => nodes[shard]!.node.stop({ address: holders[shard]!.address });
  const refused = (shard: number) => nodes[shard]!.node.deadLetters.count;
  try {
    await body({ system, clock, holders, asked, stop, refused });
  } finally {
    for (const { node } of nodes) await node.shutdown();
    await system.shutdown();
  }
}

function fakeApply(
  { layer, tokens, x, experts, weights }: ShardRequest,
  holds: ExpertHolder["holds"],
) {
  const names = holds.find(({ layers: { first, count } }) =>
    layer >= first && layer < first + count
  );
  const sum = new Float32Array(tokens * dim);
  for (let row = 0; row < tokens; row++) {
    for (let k = row * topK; k < (row + 1) * topK; k++) {
      if (experts[k]! < 0) continue;
      const expert = names!.experts[experts[k]!]!;
      for (let i = row * dim; i < (row + 1) * dim; i++) {
        sum[i]! += weights[k]! * output(layer, expert, x[i]!);
      }
    }
  }
  return x instanceof Float32Array ? sum : new Float16Array(sum);
}

function drawRequest(seed: number, tokens = 12) {
  const random = randomIntegers(seed);
  const drawn = Array.from({ length: tokens }, () => {
    const left = [0, 1, 2, 3, 4, 5];
    return Array.from({ length: topK }, () => left.splice(random(left.length), 1)[0]!);
  });
  return {
    layer: random(3),
    tokens,
    x: Float32Array.from({ length: tokens * dim }, () => random(2000) / 1000 - 1),
    experts: Int32Array.from(drawn.flat()),
    weights: Float32Array.from({ length: tokens * topK }, () => random(1000) / 1000),
  };
}

type Request = ReturnType<typeof drawRequest>;

/** All at once, within rounding. */
function assertSum(actual: Float32Array, request: Request, tolerance = 1e-5): void {
  const expected = fakeApply(request, holdings(0, 1, 2, 3, 4, 5));
  actual.forEach((value, i) =>
    assert(Math.abs(value - expected[i]!) <= tolerance, `${i}: ${value}`)
  );
}

async function until<T>(clock: FakeClock, work: Promise<T>): Promise<T> {
  let isSettled = false;
  const settle = () => isSettled = true;
  work.then(settle, settle);
  while (!isSettled) await clock.advance(10);
  return await work;
}

function ask(
  { system, clock, holders }: FakeShards,
  request: Request,
  options: { wire?: WireFormat; signal?: AbortSignal } = {},
): Promise<Float32Array> {
  const { signal, ...format } = options;
  const none = { first: 0, count: 0 };
  const args = { layers, expertShards: holders, localExperts: none, ...format };
  return until(clock, askShards(system, spec, args)!(request, signal));
}

const spread = [holdings(0, 3), holdings(5, 1), holdings(2, 4)];

Deno.test("askShards() sends one message a shard, with the rows of its experts only", () =>
  withShards(spread, async (shards) => {
    const request = drawRequest(1);
    assertSum(await ask(shards, request), request);
    for (const [i, messages] of shards.asked.entries()) {
      const held = spread[i]![0]!.experts;
      const rows = Array.from({ length: request.tokens }, (_, t) => t).filter((t) =>
        request.experts.subarray(t * topK, (t + 1) * topK).some((expert) => held.includes(expert))
      );
      const x = rows.flatMap((t) => [...request.x.subarray(t * dim, (t + 1) * dim)]);
      assert.equal(messages.length, 1);
      assert.deepEqual([...messages[0]!.x], x);
    }
    const one = { ...drawRequest(2, 1), experts: Int32Array.of(3, 0, 5) };
    assertSum(await ask(shards, one), one);
    assert.deepEqual(shards.asked.map((messages) => messages.length), [2, 2, 1]);
  }));

Deno.test("askShards() adds in the same order whichever answer comes first", async () => {
  const request = drawRequest(3, 40);
  const sums: Float32Array[] = [];
  for (let seed = 1; seed <= 8; seed++) {
    await withShards(spread, async (shards) => void sums.push(await ask(shards, request)), seed);
  }
  for (const sum of sums) assert.deepEqual(sum, sums[0]);
});

Deno.test("askShards() leaves out what the partition holds itself", () =>
  withShards([holdings(4, 5)], async ({ system, clock, holders, asked }) => {
    const request = { ...drawRequest(4, 2), experts: Int32Array.of(0, 1, 4, 3, 2, 1) };
    const args = { layers, expertShards: holders, localExperts: { first: 0, count: 4 } };
    const sum = await until(clock, askShards(system, spec, args)!(request));
    assert.deepEqual(sum.subarray(dim), new Float32Array(dim));
    assert.deepEqual(asked[0]!.map(({ tokens, experts }) => [tokens, ...experts]), [[
      1,
      -1,
      -1,
      0,
    ]]);
    assert.equal(askShards(system, spec, { layers }), undefined);
  }));

Deno.test("askShards() rounds activations to halves on request", () =>
  withShards(spread, async (shards) => {
    const request = drawRequest(5);
    assertSum(await ask(shards, request, { wire: "f16" }), request, 1e-2);
    assert(shards.asked.flat().every(({ x }) => x instanceof Float16Array));
  }));

Deno.test("askShards() asks another holder of the same experts when one is lost, and it alone after", () =>
  withShards([holdings(0, 1, 2), holdings(5, 4, 3, 2, 1, 0), holdings(3, 4, 5)], async (shards) => {
    const request = drawRequest(6);
    await shards.stop(0);
    assertSum(await ask(shards, request), request);
    await shards.stop(2);
    assertSum(await ask(shards, request), request);
    assert(shards.asked[1]!.length >= 3);
  }));

Deno.test("askShards() passes a lost shard over for a while", () =>
  withShards([holdings(0, 1, 2, 3, 4, 5), holdings(0, 1, 2, 3, 4, 5)], async (shards) => {
    const { system, clock, holders, asked } = shards;
    const args = { layers, expertShards: holders, localExperts: { first: 0, count: 0 } };
    const apply = askShards(system, spec, args)!;
    const request = drawRequest(7);
    await shards.stop(0);
    for (let i = 0; i < 3; i++) assertSum(await until(clock, apply(request)), request);
    assert.equal(shards.refused(0), 1);
    assert(asked[1]!.length >= 3);
    await clock.advance(11_000);
    assertSum(await until(clock, apply(request)), request);
    assert.equal(shards.refused(0), 2);
  }));

Deno.test("askShards() fails the step when no holder is left, and when it is cancelled", () =>
  withShards(spread, async (shards) => {
    const request = drawRequest(8);
    const controller = new AbortController();
    controller.abort(new ActorError("Cancelled", "Enough"));
    await assert.rejects(ask(shards, request, { signal: controller.signal }), {
      code: "Cancelled",
    });
    await shards.stop(1);
    await assert.rejects(ask(shards, request), (error: ActorError) => {
      assert.equal(error.code, "Terminated");
      assert.match(error.message, /an expert of layer \d, its shards are lost: [15]$/);
      return true;
    });
  }));

Deno.test("askShards() serves shards of some layers, and refuses experts that nobody holds", () => {
  const early = { layers: { first: 0, count: 1 }, experts: [0, 1, 2, 3, 4, 5] };
  const late = { layers: { first: 1, count: 2 }, experts: [5, 4, 3, 2, 1, 0] };
  return withShards([[early], [late]], async (shards) => {
    for (const layer of [0, 1, 2]) {
      const request = { ...drawRequest(9), layer };
      assertSum(await ask(shards, request), request);
    }
    assert.deepEqual(shards.asked.map((messages) => messages.length), [1, 2]);
    const partial = [{ ...shards.holders[1]!, holds: [{ ...late, experts: [0, 1, 2, 4, 5] }] }];
    const holders = [shards.holders[0]!, ...partial];
    assert.throws(
      () =>
        askShards(shards.system, spec, {
          layers,
          expertShards: holders,
          localExperts: { first: 0, count: 0 },
        }),
      {
        code: "Denied",
        message: "Cannot find a shard for an expert of layer 1: 3",
      },
    );
  });
});
