import assert from "node:assert/strict";
import { PagePool } from "../../../actors/replica/pages.ts";
import { type Chunk, Scheduler } from "../../../actors/replica/scheduler.ts";
import { Sequence } from "../../../actors/replica/sequence.ts";
import type { ReplicaRequest } from "../../../actors/protocol.ts";
import { randomIntegers } from "../../support/random.ts";

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

function request(id: string, prompt: number, maxTokens: number): ReplicaRequest {
  return {
    id,
    ids: Int32Array.from({ length: prompt }, (_, i) => i),
    promptLength: prompt,
    maxTokens,
    eosIds: [],
    sampling,
    alternatives: 0,
  };
}

function sequence(id: string, prompt: number, maxTokens = 4): Sequence {
  return new Sequence(request(id, prompt, maxTokens), { push() {}, close() {} }, 48);
}

/** Computes a plan as a replica would: every completed sequence samples a token. */
function compute(scheduler: Scheduler, chunks: readonly Chunk[]): Sequence[] {
  const finished: Sequence[] = [];
  for (const chunk of chunks) {
    scheduler.advance(chunk);
    if (chunk.sequence.pending > 0 || !chunk.sequence.append(7)) continue;
    scheduler.finish(chunk.sequence);
    finished.push(chunk.sequence);
  }
  return finished;
}

const describe = (chunks: readonly Chunk[]) =>
  chunks.map(({ sequence, count }) => `${sequence.request.id}:${count}`).join(" ");

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
  assert.throws(() => pool.grow([], 9), /Cannot hold 9 tokens: 2 pages free/);
});

Deno.test("Scheduler loses, shares or doubles no page in 100,000 random steps", () => {
  const random = randomIntegers(20);
  const scheduler = new Scheduler(limits);
  const live: Sequence[] = [];
  let finished = 0;
  for (let step = 0; step < 100_000; step++) {
    if (random(4) === 0 && scheduler.waiting < 8) {
      const next = sequence(`${step}`, 1 + random(30), 1 + random(17));
      live.push(next);
      scheduler.submit(next);
    }
    if (random(50) === 0 && live.length > 0) live[random(live.length)]!.cancelled = true;
    const chunks = scheduler.plan();
    assert(chunks.reduce((sum, { count }) => sum + count, 0) <= limits.tokens);
    finished += compute(scheduler, chunks).length;
    if (live.length > 64) live.splice(0, 32);
    scheduler.checkIntegrity();
  }
  assert(finished > 1000, `finished ${finished}`);
  assert(scheduler.preemptions > 100, `preempted ${scheduler.preemptions}`);
  for (const sequence of scheduler.running) sequence.cancelled = true;
  while (scheduler.running.length + scheduler.waiting > 0) {
    compute(scheduler, scheduler.plan());
  }
  assert.deepEqual(scheduler.pool.used, 0);
});
