import assert from "node:assert/strict";
import type { ActorRef, TerminationReason } from "../../runtime/mod.ts";
import { collect, rejectsWith, until } from "./support/assert.ts";
import { type Lane, lanes } from "./support/lanes.ts";
import type { ProbeProtocol } from "./support/probe.ts";

type Contract = (lane: Lane, probe: ActorRef<ProbeProtocol>) => Promise<void>;

const numbers = (count: number) => Array.from({ length: count }, (_, n) => n);

/** Holds the turn of a probe. The answer lets it go. */
function block(probe: ActorRef<ProbeProtocol>): () => Promise<unknown> {
  const controller = new AbortController();
  const blocked = probe.ask("block", undefined, { signal: controller.signal });
  return () => {
    controller.abort();
    return rejectsWith("Cancelled", blocked);
  };
}

/** What holds on every lane. */
const contract: Readonly<Record<string, Contract>> = {
  "tell() and ask() arrive in order": async (_, probe) => {
    const asked: Promise<unknown>[] = [];
    for (const n of numbers(4)) {
      probe.tell("add", n);
      asked.push(probe.ask("add", n + 100));
      await probe.ask("echo", n);
    }
    await Promise.all(asked);
    assert.deepEqual(await probe.ask("list"), [0, 100, 1, 101, 2, 102, 3, 103]);
  },

  "ask() carries plain data both ways": async (_, probe) => {
    const message = { text: "naïve 語", list: [1, -2.5, null, true], deep: { id: 2n ** 60n } };
    assert.deepEqual(await probe.ask("echo", message), message);
  },

  "ask() carries large tensors both ways": async (_, probe) => {
    const data = Float32Array.from({ length: 3 << 17 }, (_, i) => i % 1000);
    const last = data.at(-1)!;
    const answer = await probe.ask("double", { dtype: "f32", shape: [3, 1 << 17], data });
    assert.deepEqual([answer.dtype, answer.shape], ["f32", [3, 1 << 17]]);
    assert.ok(answer.data instanceof Float32Array);
    assert.equal(answer.data.length, 3 << 17);
    assert.equal(answer.data.at(-1), last * 2);
    assert.equal(answer.data.byteOffset % 8, 0);
  },

  "stream() yields everything in order, with few credits": async (_, probe) => {
    assert.deepEqual(await collect(probe.stream("count", 100, { credits: 3 })), numbers(100));
    assert.deepEqual(await collect(probe.stream("count", 0)), []);
  },

  "stream() runs at most its credits ahead": async (_, probe) => {
    const stream = probe.stream("count", 1000, { credits: 4 });
    await stream.next();
    await until(async () => await probe.ask("made") >= 4);
    await probe.ask("echo", 0);
    assert.ok(await probe.ask("made") <= 8);
    await stream.return?.();
  },

  "stream() left early cancels the producer": async (_, probe) => {
    for await (const n of probe.stream("count", 1e9, { credits: 2 })) if (n === 3) break;
    await until(async () => (await probe.ask("ended")).includes("stream"));
  },

  "stream() fails where its producer fails": async (_, probe) => {
    const seen: number[] = [];
    await rejectsWith("AppError", async () => {
      for await (const n of probe.stream("countThenCrash", 3)) seen.push(n);
    });
    assert.deepEqual(seen, [0, 1, 2]);
  },

  "ask() rejects with Timeout, and the handler's signal is aborted": async (_, probe) => {
    await rejectsWith("Timeout", probe.ask("hang", undefined, { deadlineMs: 250 }));
    await until(async () => (await probe.ask("ended")).length === 1);
    const [code] = await probe.ask("ended");
    assert.ok(code === "Timeout" || code === "Cancelled", code);
  },

  "a message past its deadline is dropped before its turn": async (_, probe) => {
    const unblock = block(probe);
    await rejectsWith("Timeout", probe.ask("add", 1, { deadlineMs: 10 }));
    await unblock();
    assert.deepEqual(await probe.ask("list"), []);
  },

  "ask() rejects with Cancelled, and the handler's signal is aborted": async (_, probe) => {
    const controller = new AbortController();
    const hanging = probe.ask("hang", undefined, { signal: controller.signal });
    await probe.ask("echo", 0);
    controller.abort();
    await rejectsWith("Cancelled", hanging);
    await until(async () => (await probe.ask("ended")).includes("Cancelled"));
    await rejectsWith("Cancelled", probe.ask("list", undefined, { signal: controller.signal }));
  },

  "a full mailbox refuses with Overloaded and a hint": async (_, probe) => {
    const unblock = block(probe);
    const waiting = Promise.all(numbers(7).map((n) => probe.ask("echo", n)));
    // Whether the eighth fits depends on whether the turn has begun.
    probe.ask("echo", 8).catch(() => {});
    const error = await rejectsWith("Overloaded", probe.ask("echo", 9));
    assert.ok(error.retryable && error.retryAfterMs! > 0);
    await unblock();
    assert.deepEqual(await waiting, numbers(7));
  },

  "a full mailbox counts bytes": async (_, probe) => {
    const unblock = block(probe);
    const first = probe.ask("echo", new Uint8Array(3 << 20));
    await rejectsWith("Overloaded", probe.ask("echo", new Uint8Array(3 << 20)));
    await rejectsWith("TooLarge", probe.ask("echo", new Uint8Array(5 << 20)));
    await unblock();
    assert.equal((await first as Uint8Array).length, 3 << 20);
  },

  "a refusal keeps code, message, details and retryable": async (_, probe) => {
    await probe.ask("add", 7);
    const error = await rejectsWith("AppError", probe.ask("refuse", "Not today"));
    assert.equal(error.message, "Not today");
    assert.deepEqual(error.details, { why: "asked to" });
    assert.equal(error.retryable, true);
    assert.deepEqual(await probe.ask("list"), [7], "a refusal is no crash");
  },

  "a crash fails the ask with AppError and no stack, and restarts with new state": async (
    _,
    probe,
  ) => {
    await probe.ask("add", 7);
    const error = await rejectsWith("AppError", probe.ask("crash", "Boom"));
    assert.equal(error.message, "TypeError: Boom");
    assert.deepEqual(await probe.ask("list"), []);
  },

  "watch() hears of a stop, and what waits fails with Terminated": async (lane, probe) => {
    const reason = Promise.withResolvers<TerminationReason>();
    lane.system.watch(probe, reason.resolve);
    const hanging = probe.ask("hang");
    await probe.ask("echo", 0);
    const expectation = rejectsWith("Terminated", hanging);
    await lane.system.stop(probe);
    await expectation;
    assert.deepEqual(await reason.promise, { type: "Stopped" });
  },

  "watch() hears of a failure beyond the restarts": async (lane, probe) => {
    const reason = Promise.withResolvers<TerminationReason>();
    lane.system.watch(probe, reason.resolve);
    await rejectsWith("AppError", probe.ask("crash", "One"));
    await rejectsWith("AppError", probe.ask("crash", "Two"));
    assert.deepEqual(await reason.promise, { type: "Failed", message: "TypeError: Two" });
  },

  "watch() of an actor that is not there hears of it at once": async (lane, probe) => {
    const reason = Promise.withResolvers<TerminationReason>();
    lane.system.watch({ address: `${probe.address}-absent` }, reason.resolve);
    assert.equal((await reason.promise).type, "Lost");
  },

  "context.watch() works from the actor's side": async (lane, probe) => {
    const other = await lane.spawn("watched");
    const heard = probe.ask("whoWatches", other.address);
    await other.ask("echo", 0);
    await lane.system.stop(other);
    assert.equal(await heard, "Stopped");
  },

  "an address that nobody has gives NoRoute": async (lane, probe) => {
    const absent = lane.system.ref<ProbeProtocol>(`${probe.address}-absent`);
    await rejectsWith("NoRoute", absent.ask("list"));
    await rejectsWith("NoRoute", collect(absent.stream("count", 1)));
  },

  "a reference that travels as its address reaches the same actor": async (lane, probe) => {
    const address = await probe.ask("echo", probe.address) as string;
    await lane.system.ref<ProbeProtocol>(address).ask("add", 5);
    assert.deepEqual(await probe.ask("list"), [5]);
  },

  "an unknown method gives NoRoute and harms nothing": async (_, probe) => {
    const untyped = probe as unknown as ActorRef<{ constructor(): void; nothing(): void }>;
    await rejectsWith("NoRoute", untyped.ask("nothing"));
    await rejectsWith("NoRoute", untyped.ask("constructor"));
    assert.deepEqual(await probe.ask("list"), []);
  },

  "a method asked for in the wrong way is refused": async (_, probe) => {
    const untyped = probe as unknown as ActorRef<
      { count(to: number): number; list(): AsyncIterable<number> }
    >;
    await rejectsWith("Denied", untyped.ask("count", 3));
    await rejectsWith("Denied", collect(untyped.stream("list")));
  },
};

for (const [name, open] of Object.entries(lanes)) {
  Deno.test(`lane contract over ${name}`, async (t) => {
    await using lane = await open();
    for (const [claim, check] of Object.entries(contract)) {
      await t.step(claim, async () => {
        const probe = await lane.spawn();
        await check(lane, probe);
        await lane.system.stop(probe);
      });
    }
  });
}
