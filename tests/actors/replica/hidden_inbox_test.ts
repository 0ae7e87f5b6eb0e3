import assert from "node:assert/strict";
import { HiddenInbox } from "../../../actors/replica/hidden_inbox.ts";
import { Turns } from "../../../actors/replica/turns.ts";

const never = new AbortController().signal;
const uncancelled = { signal: never };

Deno.test("HiddenInbox joins a step and its hidden states, whichever comes first", async () => {
  const inbox = new HiddenInbox();
  const [a, b] = [Float32Array.of(1), Float16Array.of(2)];
  inbox.put("a", a);
  const late = inbox.take("b", never);
  assert.equal(inbox.waiting, 1);
  assert.equal(await inbox.take("a", never), a);
  inbox.put("b", b);
  assert.equal(await late, b);
  assert.equal(inbox.waiting, 0);
});

Deno.test("HiddenInbox gives up a step that is cancelled", async () => {
  const inbox = new HiddenInbox();
  const controller = new AbortController();
  const taken = inbox.take("a", controller.signal);
  controller.abort(new Error("enough"));
  await assert.rejects(taken, /enough/);
  await assert.rejects(inbox.take("b", controller.signal), /enough/);
  assert.equal(inbox.waiting, 0);
});

Deno.test("HiddenInbox forgets the oldest of what no step takes", async () => {
  const inbox = new HiddenInbox();
  for (let i = 0; i < 17; i++) inbox.put(`${i}`, Float32Array.of(i));
  assert.deepEqual(await inbox.take("1", never), Float32Array.of(1));
  const controller = new AbortController();
  const forgotten = inbox.take("0", controller.signal);
  controller.abort(new Error("gone"));
  await assert.rejects(forgotten, /gone/);
});

Deno.test("Turns does work in order and one at a time, and none that is cancelled by then", async () => {
  const turns = new Turns();
  const log: string[] = [];
  const first = Promise.withResolvers<void>();
  const controller = new AbortController();
  const work = (name: string, until?: Promise<void>) => async () => {
    log.push(`${name} begins`);
    await until;
    log.push(`${name} ends`);
    return name;
  };
  const results = [
    turns.run(work("a", first.promise), uncancelled),
    turns.run(work("b"), controller),
    turns.run(() => Promise.reject(new Error("c fails")), uncancelled),
    turns.run(work("d"), uncancelled),
  ];
  assert.equal(turns.length, 4);
  controller.abort(new Error("b is cancelled"));
  first.resolve();
  const ends = (await Promise.allSettled(results)).map((end) =>
    end.status === "fulfilled" ? end.value : end.reason.message
  );
  assert.deepEqual(ends, ["a", "b is cancelled", "c fails", "d"]);
  assert.deepEqual(log, ["a begins", "a ends", "d begins", "d ends"]);
});
