import assert from "node:assert/strict";
import fc from "fast-check";
import { FakeClock, seededRng, sleep } from "../../runtime/mod.ts";
import { Deadlines, type Timed } from "../../runtime/deadlines.ts";
import { Heap } from "../../runtime/heap.ts";

class Entry implements Timed {
  settled = false;
  expiredAt: number | null = null;
  constructor(readonly deadline: number, readonly clock: FakeClock) {}
  expire(): void {
    this.settled = true;
    this.expiredAt = this.clock.now();
  }
}

Deno.test("Deadlines expires each entry at its moment, and none that has settled", async () => {
  const rng = seededRng("deadlines");
  const clock = new FakeClock(0);
  const deadlines = new Deadlines(clock);
  const entries = Array.from({ length: 500 }, () => new Entry(1 + rng.integer(1000), clock));
  for (const entry of entries) deadlines.add(entry);
  const settled = entries.filter(() => rng.next() < 0.7);
  for (const entry of settled) {
    entry.settled = true;
    deadlines.release();
  }
  await clock.advance(1000);
  for (const entry of entries) {
    assert.equal(entry.expiredAt, settled.includes(entry) ? null : entry.deadline);
  }
});

Deno.test("Heap pops in order, also after a filter", () => {
  fc.assert(fc.property(fc.array(fc.integer()), fc.integer(), (numbers, least) => {
    const heap = new Heap<number>((a, b) => a < b);
    for (const n of numbers) heap.push(n);
    heap.filter((n) => n >= least);
    const popped = Array.from({ length: heap.size }, () => heap.pop()!);
    assert.deepEqual(popped, numbers.filter((n) => n >= least).sort((a, b) => a - b));
  }));
});

Deno.test("FakeClock fires timers in order of time, then of setting", async () => {
  const clock = new FakeClock();
  const fired: string[] = [];
  clock.setTimer(20, () => fired.push("late"));
  clock.setTimer(10, () => fired.push("first"));
  clock.setTimer(10, () => fired.push("second"));
  clock.setTimer(15, () => fired.push("never"))();
  await clock.advance(15);
  assert.deepEqual(fired, ["first", "second"]);
  await clock.advance(5);
  assert.deepEqual(fired, ["first", "second", "late"]);
});

Deno.test("sleep() ends by the clock, or by its signal", async () => {
  const clock = new FakeClock();
  const done = sleep(clock, 10);
  await clock.advance(10);
  await done;
  const reason = new Error("enough");
  await assert.rejects(sleep(clock, 10, AbortSignal.abort(reason)), reason);
  const controller = new AbortController();
  const aborted = assert.rejects(sleep(clock, 10, controller.signal), reason);
  controller.abort(reason);
  await aborted;
});

Deno.test("seededRng() repeats itself, and its splits differ", () => {
  const draw = (seed: string, label?: string) => {
    const rng = label === undefined ? seededRng(seed) : seededRng(seed).split(label);
    return Array.from({ length: 5 }, () => rng.next());
  };
  assert.deepEqual(draw("a"), draw("a"));
  assert.notDeepEqual(draw("a"), draw("b"));
  assert.notDeepEqual(draw("a", "x"), draw("a", "y"));
  const rng = seededRng(1);
  const counts = new Array<number>(10).fill(0);
  for (let n = 0; n < 10_000; n++) counts[rng.integer(10)]!++;
  for (const count of counts) assert.ok(count > 850 && count < 1150, `${counts}`);
});
