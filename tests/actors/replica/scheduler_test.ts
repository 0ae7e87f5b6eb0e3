import assert from "node:assert/strict";
import { emptyPageTable, PagePool } from "../../../actors/replica/pages.ts";
import { Scheduler } from "../../../actors/replica/scheduler.ts";
import { Sequence } from "../../../actors/replica/sequence.ts";
import type { ReplicaRequest } from "../../../actors/replica_protocol.ts";
import { randomIntegers } from "../../support/random.ts";
import { sharedTest } from "../../support/shared.ts";

const limits = { tokens: 16, sequences: 4, pages: 12, pageSize: 4 };
const sampling = {
  temperature: 0,
  topK: 0,
  topP: 1,
  minP: 0,
  repetitionPenalty: 1,
  presencePenalty: 0,
  frequencyPenalty: 0,
  seed: 1,
};

/** Prompts of different sources have nothing in common. */
function request(id: string, prompt: number, maxTokens: number, source: number): ReplicaRequest {
  return {
    id,
    ids: Int32Array.from({ length: prompt }, (_, i) => source * 1000 + i),
    promptLength: prompt,
    maxTokens,
    eosIds: [],
    sampling,
    alternatives: 0,
  };
}

let sources = 0;

function sequence(id: string, prompt: number, maxTokens = 4, source = ++sources): Sequence {
  return new Sequence(request(id, prompt, maxTokens, source), { push() {}, close() {} }, 48);
}

/** What a page's slots hold: a hash of the text up to each token, as keys and values depend on it. */
class ShadowCache {
  readonly #slots = new Map<number, number>();

  /** Writes what a step computes, after checking that all before it is what it should be. */
  compute(sequence: Sequence, tokens: number = sequence.inFlight): void {
    let hash = 17;
    for (let position = 0; position < sequence.computed + tokens; position++) {
      hash = Math.imul(hash, 31) + sequence.id(position) | 0;
      const page = sequence.table.pages[Math.floor(position / limits.pageSize)]!;
      const slot = page * limits.pageSize + position % limits.pageSize;
      if (position >= sequence.computed) this.#slots.set(slot, hash);
      else assert.equal(this.#slots.get(slot), hash, "a token sees its own text's keys and values");
    }
  }
}

/** Computes a plan as a replica would: every completed sequence samples a token, and one more each later round. */
function compute(
  scheduler: Scheduler,
  plan: readonly Sequence[],
  rounds = 1,
  shadow?: ShadowCache,
): Sequence[] {
  for (const sequence of plan) {
    scheduler.advance(sequence);
    if (sequence.pending > 0) continue;
    if (sequence.append(7)) scheduler.finish(sequence);
    for (let round = 1; round < rounds && !sequence.finished; round++) {
      shadow?.compute(sequence, 1);
      scheduler.advance(sequence, 1);
      if (sequence.append(7)) scheduler.finish(sequence);
    }
  }
  return plan.filter(({ finished }) => finished);
}

const describe = (plan: readonly Sequence[]) =>
  plan.map(({ request, inFlight }) => `${request.id}:${inFlight}`).join(" ");

Deno.test("Scheduler splits the prefill budget evenly and decodes first", () => {
  const scheduler = new Scheduler(limits);
  scheduler.submit(sequence("short", 4));
  scheduler.submit(sequence("long", 20));
  let chunks = scheduler.plan();
  assert.deepEqual(describe(chunks), "short:4 long:12");
  compute(scheduler, chunks);
  chunks = scheduler.plan();
  assert.deepEqual(describe(chunks), "short:1 long:8");
});

Deno.test("Scheduler admits in order of arrival and within its slots", () => {
  const scheduler = new Scheduler(limits);
  for (const id of ["a", "b", "c", "d", "e"]) scheduler.submit(sequence(id, 2));
  assert.deepEqual(describe(scheduler.plan()), "a:2 b:2 c:2 d:2");
  assert.deepEqual(scheduler.waiting, 1);
});

Deno.test("Scheduler preempts the newest sequence when no page is free and runs it again first", () => {
  const scheduler = new Scheduler({ ...limits, pages: 4 });
  scheduler.submit(sequence("old", 7, 20));
  compute(scheduler, scheduler.plan());
  scheduler.submit(sequence("new", 3, 20));
  let preempted = false;
  for (let step = 0; step < 40 && !preempted; step++) {
    compute(scheduler, scheduler.plan());
    scheduler.checkIntegrity();
    preempted = scheduler.preemptions > 0;
  }
  assert(preempted);
  assert.deepEqual(scheduler.running.map((s) => s.request.id), ["old"]);
  assert.deepEqual(scheduler.waiting, 1);
});

Deno.test("Scheduler drops a cancelled sequence at the next plan and frees its pages", () => {
  const scheduler = new Scheduler(limits);
  const cancelled = sequence("a", 8);
  scheduler.submit(cancelled);
  compute(scheduler, scheduler.plan());
  cancelled.cancelled = true;
  assert.deepEqual(scheduler.plan(), []);
  assert.deepEqual(scheduler.pool.used, 0);
});

Deno.test("PagePool refuses to grow past its free pages", () => {
  const pool = new PagePool(2, 4);
  assert.throws(() => pool.grow(emptyPageTable(), 9), /Cannot hold 9 tokens: 2 pages free/);
});

Deno.test("Scheduler shares full pages of equal beginnings, and computes the last token anew", () => {
  const scheduler = new Scheduler(limits);
  scheduler.submit(sequence("first", 10, 4, 1));
  compute(scheduler, scheduler.plan());
  scheduler.submit(sequence("same", 10, 4, 1));
  scheduler.submit(sequence("shorter", 8, 4, 1));
  scheduler.submit(sequence("other", 8, 4, 2));
  assert.equal(describe(scheduler.plan()), "first:1 same:2 shorter:4 other:8");
  assert.equal(scheduler.pool.shared, 3);
  scheduler.checkIntegrity();
});

Deno.test("PagePool keeps pages of finished texts until their memory is needed", () => {
  const scheduler = new Scheduler({ ...limits, pages: 4 });
  const run = (id: string, source: number) => {
    scheduler.submit(sequence(id, 9, 1, source));
    const first = describe(scheduler.plan());
    compute(scheduler, [...scheduler.running]);
    return first;
  };
  assert.equal(run("a", 1), "a:9");
  assert.equal(scheduler.pool.free, 4);
  assert.equal(run("again", 1), "again:1");
  assert.equal(run("b", 2), "b:9");
  assert.equal(run("late", 1), "late:5", "the end of the text went first");
  scheduler.checkIntegrity();
});

sharedTest(
  "PagePool finds the ideal share of equal beginnings of a trace",
  "data/mooncake/conversation_trace.jsonl",
  (path) => {
    const pool = new PagePool(400_000, 1);
    let [blocks, ready] = [0, 0];
    for (const line of Deno.readTextFileSync(path).trim().split("\n")) {
      const ids = Int32Array.from([...JSON.parse(line).hash_ids, 0]);
      const table = emptyPageTable();
      ready += pool.reuse(table, ids);
      pool.grow(table, ids.length - 1);
      pool.note(table, ids, ids.length - 1);
      blocks += ids.length - 1;
      pool.release(table);
    }
    assert.equal((100 * ready / blocks).toFixed(1), "36.6");
  },
);

Deno.test("Scheduler gives micro-batches even shares of decodes and of prefills", () => {
  const scheduler = new Scheduler({ ...limits, pages: 40, sequences: 8, microBatches: 2 });
  for (const id of ["a", "b", "c"]) scheduler.submit(sequence(id, 2, 20));
  const first = scheduler.plan();
  assert.equal(describe(first), "a:2 b:2");
  const second = scheduler.plan();
  assert.equal(describe(second), "c:2");
  assert.deepEqual(scheduler.plan(), [], "all are in flight");
  compute(scheduler, first);
  scheduler.submit(sequence("d", 9, 20));
  scheduler.submit(sequence("e", 9, 20));
  assert.equal(describe(scheduler.plan()), "a:1 b:1 d:9");
  compute(scheduler, second);
  assert.equal(describe(scheduler.plan()), "c:1 e:9");
});

Deno.test("Scheduler leaves the pages of a sequence in flight alone", () => {
  const scheduler = new Scheduler({ ...limits, pages: 5, microBatches: 2 });
  scheduler.submit(sequence("old", 7, 20));
  const cancelled = sequence("young", 3, 20);
  scheduler.submit(cancelled);
  const [old, young] = [scheduler.plan(), scheduler.plan()];
  compute(scheduler, old);
  for (let length = 8; length < 17; length++) compute(scheduler, scheduler.plan());
  assert.deepEqual(scheduler.plan(), [], "old waits for a page of young");
  cancelled.cancelled = true;
  assert.deepEqual(scheduler.plan(), []);
  assert.equal(scheduler.pool.used, 5);
  compute(scheduler, young);
  assert.equal(describe(scheduler.plan()), "old:1");
  scheduler.checkIntegrity();
});

Deno.test("Scheduler lets rounds run in a row where all decode, have room and nobody waits", () => {
  const scheduler = new Scheduler({ ...limits, sequences: 2, pages: 5 });
  const inRow = () => scheduler.roundsOf(scheduler.plan(), 4);
  const run = (rounds: number) => compute(scheduler, [...scheduler.running], rounds);
  scheduler.submit(sequence("a", 3, 9));
  assert.equal(inRow(), 1, "a prompt");
  run(1);
  assert.equal(inRow(), 4);
  run(4);
  scheduler.submit(sequence("b", 3, 20));
  assert.equal(inRow(), 1, "a prompt among decodes");
  run(1);
  scheduler.submit(sequence("c", 3, 20));
  assert.equal(inRow(), 1, "one waits");
  run(1);
  [...scheduler.running].forEach(({ request }) => assert.notEqual(request.id, "c"));
  assert.equal(scheduler.running[0]!.length, 10);
  scheduler.evict();
  scheduler.submit(sequence("d", 3, 4));
  scheduler.plan();
  run(1);
  assert.equal(inRow(), 3, "no more than are wanted");
  assert.equal(run(3).length, 1);
  const penalised = { ...request("e", 1, 9, 7), sampling: { ...sampling, presencePenalty: 1 } };
  scheduler.submit(new Sequence(penalised, { push() {}, close() {} }, 48));
  scheduler.plan();
  run(1);
  assert.equal(inRow(), 1, "penalties need to know each token");
  scheduler.checkIntegrity();
});

Deno.test("Scheduler evicts all that is not in flight", () => {
  const scheduler = new Scheduler({ ...limits, sequences: 2, microBatches: 2 });
  for (const id of ["a", "b", "c"]) scheduler.submit(sequence(id, 2));
  const [a, b] = [scheduler.plan(), scheduler.plan()];
  compute(scheduler, b);
  assert.deepEqual(scheduler.evict().map((s) => s.request.id), ["b", "c"]);
  compute(scheduler, a);
  assert.deepEqual(scheduler.evict().map((s) => s.request.id), ["a"]);
  assert.equal(scheduler.pool.used, 0);
});

/** A plan on its way; devices read and write its pages at some time before it is back. */
interface Flight {
  readonly plan: readonly Sequence[];
  readonly rounds: number;
  computed: boolean;
}

for (const microBatches of [1, 2, 3]) {
  const name = `Scheduler of ${microBatches} micro-batches keeps pages, tokens and texts apart`;
  Deno.test(`${name} in 60,000 random steps`, () => {
    const random = randomIntegers(20 + microBatches);
    const scheduler = new Scheduler({ ...limits, microBatches });
    const shadow = new ShadowCache();
    const flights: Flight[] = [];
    const live: Sequence[] = [];
    let [finished, inRow] = [0, 0];
    const land = () => {
      const [{ plan, rounds, computed }] = flights.splice(random(flights.length), 1) as [Flight];
      if (!computed) { for (const sequence of plan) shadow.compute(sequence); }
      if (rounds > 1) inRow++;
      for (const sequence of compute(scheduler, plan, rounds, shadow)) {
        const { promptLength, maxTokens } = sequence.request;
        assert.equal(sequence.length, Math.min(promptLength + maxTokens, 48));
        finished++;
      }
    };
    for (let step = 0; step < 60_000; step++) {
      if (random(4) === 0 && scheduler.waiting < 8) {
        const next = sequence(`${step}`, 1 + random(30), 1 + random(17), random(6));
        live.push(next);
        scheduler.submit(next);
      }
      if (random(50) === 0 && live.length > 0) live[random(live.length)]!.cancelled = true;
      if (flights.length === microBatches || (flights.length > 0 && random(2) === 0)) land();
      const away = new Set(flights.flatMap(({ plan }) => plan));
      const plan = scheduler.plan();
      assert(plan.reduce((sum, { inFlight }) => sum + inFlight, 0) <= limits.tokens);
      assert(plan.every((sequence) => !away.has(sequence)), "no sequence flies twice");
      const rounds = microBatches === 1 ? scheduler.roundsOf(plan, 1 + random(4)) : 1;
      const computed = random(2) === 0;
      if (computed) { for (const sequence of plan) shadow.compute(sequence); }
      if (plan.length > 0) flights.push({ plan, rounds, computed });
      if (live.length > 64) live.splice(0, 32);
      scheduler.checkIntegrity();
    }
    assert(finished > 1000, `finished ${finished}`);
    assert(microBatches > 1 || inRow > 200, `in a row ${inRow}`);
    assert(scheduler.preemptions > 100, `preempted ${scheduler.preemptions}`);
    assert(scheduler.pool.shared > 1000, `shared ${scheduler.pool.shared}`);
    for (const sequence of scheduler.running) sequence.cancelled = true;
    while (flights.length > 0) land();
    while (scheduler.running.length + scheduler.waiting > 0) {
      compute(scheduler, scheduler.plan());
    }
    assert.deepEqual(scheduler.pool.used, 0);
  });
}
