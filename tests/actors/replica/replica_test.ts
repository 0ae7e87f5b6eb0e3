import assert from "node:assert/strict";
import type { ReplicaProtocol, SampledToken } from "../../../actors/replica_protocol.ts";
import { ActorError, type ActorErrorCode, type ActorRef } from "../../../runtime/mod.ts";
import { fakeText, VOCAB } from "./fake_model.ts";
import { Fleet, fleetLimits, generate, prompts, request } from "./fleet.ts";

const costsMs = [10, 10];
const prompt = [5, 6, 7];

/** Reads a generation of 60 tokens to its end or failure. */
function follow(replica: ActorRef<ReplicaProtocol>, signal?: AbortSignal) {
  const tokens: SampledToken[] = [];
  const ended = (async () => {
    const options = signal ? { signal } : {};
    for await (const token of replica.stream("generate", request(prompt, 60), options)) {
      tokens.push(token);
    }
  })();
  const failure = ended.then(() => null, (error: ActorError) => error.code);
  return { tokens, failure };
}

function assertBeginning(tokens: readonly SampledToken[], least: number, stages = 2): void {
  assert(tokens.length >= least, `${tokens.length} tokens`);
  const expected = fakeText(stages, prompt, tokens.length);
  assert.deepEqual(tokens.map(({ id }) => id), expected);
}

for (const stages of [1, 2, 3]) {
  for (const microBatches of [1, 2, 4]) {
    const how = `${stages} partitions and ${microBatches} micro-batches`;
    Deno.test(`Replica of ${how} answers as the model, with pages short`, async () => {
      const limits = { pages: 30, tokens: 16 };
      await using fleet = await Fleet.start({
        costsMs: new Array(stages).fill(3),
        args: { microBatches },
        limits,
      });
      const [replica] = fleet.replicas;
      const all = [...prompts(14), ...prompts(2)];
      const texts = await fleet.until(Promise.all(all.map((ids) => generate(replica!, ids, 40))));
      assert.deepEqual(texts, all.map((ids) => fakeText(stages, ids, 40)));
      const load = await fleet.until(replica!.ask("status"));
      assert(load.preemptions > 0, "pages were short");
      assert.deepEqual([load.running, load.waiting, load.pages[0]], [0, 0, 0]);
      assert(fleet.log.every(({ tokens }) => tokens <= limits.tokens));
    });
  }
}

for (const [costMs, least] of [[0, 4], [3, 3], [20, 1]] as const) {
  Deno.test(`Replica asks for ${least} rounds in a row of decodes of ${costMs} ms`, async () => {
    const args = { rounds: 4 };
    await using fleet = await Fleet.start({ costsMs: [costMs], args, limits: { pages: 30 } });
    const all = prompts(14);
    const texts = await fleet.until(
      Promise.all(all.map((ids, i) => generate(fleet.replicas[0]!, ids, 20 + i))),
    );
    assert.deepEqual(texts, all.map((ids, i) => fakeText(1, ids, 20 + i)));
    fleet.log.length = 0;
    await fleet.until(generate(fleet.replicas[0]!, prompt, 1 + 8 * least));
    assert(fleet.log.length >= 9 && fleet.log.length <= 9 + 4, `${fleet.log.length} asks`);
    const load = await fleet.until(fleet.replicas[0]!.ask("status"));
    assert.deepEqual([load.running, load.waiting, load.pages[0]], [0, 0, 0]);
  });
}

Deno.test("Replica reports its batch, and its queue with every token", async () => {
  await using fleet = await Fleet.start({ costsMs, limits: { sequences: 2 } });
  const [replica] = fleet.replicas;
  const runs = Array.from({ length: 5 }, () => follow(replica!));
  await fleet.clock.advance(95);
  const load = await fleet.until(replica!.ask("status"));
  assert.deepEqual(
    { ...load, version: "", pages: null, steps: null, tokens: null },
    {
      version: "",
      draining: false,
      running: 2,
      waiting: 3,
      pages: null,
      microBatches: [2, 2],
      steps: null,
      tokens: null,
      preemptions: 0,
      busyMs: 0,
    },
  );
  assert.match(load.version, /^\d+\.\d+\.\d+$/);
  await fleet.until(Promise.all(runs.map(({ failure }) => failure)));
  for (const [i, { tokens }] of runs.entries()) {
    assertBeginning(tokens, 60);
    assert(tokens.every(({ queue }) => queue! >= 1 && queue! <= 5));
    if (i === 4) assert.equal(tokens.at(-1)!.queue, 1);
  }
  const { busyMs } = await fleet.until(replica!.ask("status"));
  const last = fleet.log.at(-1)!;
  assert.equal(busyMs, last.at + 10, "overlapping steps count once");
});

Deno.test("Replica drops a cancelled request before its next step", async () => {
  await using fleet = await Fleet.start({ costsMs });
  const [replica] = fleet.replicas;
  const controller = new AbortController();
  const { failure } = follow(replica!, controller.signal);
  await fleet.clock.advance(105);
  controller.abort();
  assert.equal(await fleet.until(failure), "Cancelled");
  const steps = fleet.log.length;
  await fleet.clock.advance(100);
  assert(fleet.log.length <= steps + 1, "the step under way went on to the second stage at most");
  const load = await fleet.until(replica!.ask("status"));
  assert.deepEqual([load.running, load.pages[0]], [0, 0]);
});

Deno.test("Replica refuses what it cannot generate", async () => {
  await using fleet = await Fleet.start({
    costsMs,
    args: { vocab: VOCAB },
    limits: { sequences: 1, waiting: 1 },
  });
  const [replica] = fleet.replicas;
  const refused = async (ids: readonly number[], code: ActorErrorCode, message: RegExp) => {
    const error = await fleet.until(generate(replica!, ids, 1).catch((error) => error));
    assert(error instanceof ActorError);
    assert.equal(error.code, code);
    assert.match(error.message, message);
  };
  const long = new Array(fleetLimits.context).fill(1);
  await refused([], "AppError", /within a context of 96 tokens after: 0/);
  await refused(long, "AppError", /within a context of 96 tokens after: 96/);
  await refused([1, VOCAB], "AppError", /outside a vocabulary of 251: 251/);
  await refused([-1], "AppError", /vocabulary of 251: -1/);
  const runs = [follow(replica!)];
  await fleet.clock.advance(30);
  runs.push(follow(replica!));
  await fleet.clock.advance(30);
  await refused([1], "Overloaded", /more than 1 requests/);
  await fleet.until(Promise.all(runs.map(({ failure }) => failure)));
  for (const { tokens } of runs) assertBeginning(tokens, 60);
});

Deno.test("Replica drains: running requests move at a token's boundary, new ones at once", async () => {
  await using fleet = await Fleet.start({ costsMs, replicas: 2, limits: { sequences: 3 } });
  const [replica, other] = fleet.replicas;
  const runs = Array.from({ length: 5 }, () => follow(replica!));
  await fleet.clock.advance(205);
  const drained = replica!.ask("drain");
  await fleet.clock.settle();
  const load = await replica!.ask("status");
  assert.deepEqual([load.draining, load.waiting], [true, 0]);
  await fleet.until(drained);
  assert.equal((await fleet.until(replica!.ask("status"))).running, 0);
  const late = follow(replica!);
  for (const { tokens, failure } of [...runs, late]) {
    assert.equal(await fleet.until(failure), "Moved");
    assertBeginning(tokens, 0);
    const ids = Int32Array.from([...prompt, ...tokens.map(({ id }) => id)]);
    const rest: number[] = [];
    const resumed = request(prompt, 60, { ids });
    await fleet.until((async () => {
      for await (const { id } of other!.stream("generate", resumed)) rest.push(id);
    })());
    assert.deepEqual([...tokens.map(({ id }) => id), ...rest], fakeText(2, prompt, 60));
  }
  assert(runs.some(({ tokens }) => tokens.length > 5));
  await fleet.until(replica!.ask("drain"));
});

Deno.test("Replica that drains stays for slow readers, but not for long", async () => {
  await using fleet = await Fleet.start({ costsMs });
  const [replica] = fleet.replicas;
  const open = () => {
    const stream = replica!.stream("generate", request(prompt, 60), { credits: 1 });
    return stream[Symbol.asyncIterator]();
  };
  const [slow, asleep] = [open(), open()];
  const tokens = [(await fleet.until(slow.next())).value as SampledToken];
  await fleet.until(asleep.next());
  await fleet.clock.advance(205);
  let isDrained = false;
  const drained = replica!.ask("drain").then(() => isDrained = true);
  await fleet.clock.advance(100);
  assert(!isDrained, "two have tokens to read");
  const failure = await fleet.until(
    (async () => {
      for (let next = await slow.next(); !next.done; next = await slow.next()) {
        tokens.push(next.value);
      }
    })().catch((error) => error),
  );
  assert.equal(failure.code, "Moved");
  assertBeginning(tokens, 5);
  assert(!isDrained, "one has tokens to read");
  await fleet.until(drained);
  await asleep.return?.();
});

Deno.test("Replica that lost a partition fails its requests and starts anew on the next one", async () => {
  await using fleet = await Fleet.start({ costsMs });
  const [replica] = fleet.replicas;
  const lost = follow(replica!);
  await fleet.clock.advance(105);
  await fleet.stopPartition(0, 1);
  assert.equal(await fleet.until(lost.failure), "Terminated");
  assertBeginning(lost.tokens, 3);
  await fleet.startPartition(0, 1);
  const next = follow(replica!);
  assert.equal(await fleet.until(next.failure), null);
  assertBeginning(next.tokens, 60);
});

Deno.test("Replica gives a step up whose hidden states the network lost", async () => {
  await using fleet = await Fleet.start({ costsMs, faults: { latencyMs: 1 } });
  const [replica] = fleet.replicas;
  const lost = follow(replica!);
  await fleet.clock.advance(105);
  const heal = fleet.network.partition("n1");
  await fleet.clock.advance(1000);
  heal();
  assert.equal(await fleet.until(lost.failure), "Terminated");
  assertBeginning(lost.tokens, 3);
  const next = follow(replica!);
  assert.equal(await fleet.until(next.failure), null);
  assertBeginning(next.tokens, 60);
});
