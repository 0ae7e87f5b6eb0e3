import assert from "node:assert/strict";
import {
  type ActorDefinition,
  type ActorRef,
  type Clock,
  createSystem,
  type DeadLetter,
  defineActor,
  FakeClock,
  seededRng,
  sleep,
  type System,
  type TerminationReason,
} from "../../runtime/mod.ts";
import { collect, rejectsWith } from "./support/assert.ts";
import { silent } from "./support/lanes.ts";

interface WorkerProtocol {
  work(label: string): Promise<string>;
  start(label: string): Promise<string>;
  log(): string[];
  crash(): void;
  crashLater(ms: number): void;
  ticks(everyMs: number): AsyncIterable<number>;
  spawnChild(id: string): string;
  stopWatching(address: string): void;
}

interface Fixture {
  readonly clock: FakeClock;
  readonly system: System;
  /** What happened to the actors, in order. */
  readonly history: string[];
  readonly spawn: (id?: string) => ActorRef<WorkerProtocol>;
  [Symbol.asyncDispose](): Promise<void>;
}

type Worker = ActorDefinition<WorkerProtocol, { log: string[] }, { failStart: boolean }>;

function defineWorker(history: string[]): Worker {
  const definition: Worker = defineActor<WorkerProtocol, { log: string[] }, { failStart: boolean }>(
    {
      kind: "worker",
      mailbox: { messages: 4 },
      supervise: { restarts: 2, withinMs: 1000 },
      concurrent: ["start"],
      start({ self }, { failStart }) {
        history.push(`start ${self.address}`);
        if (failStart) throw new Error("No disk");
        return { log: [] };
      },
      stop: (_, { self }, reason) => void history.push(`stop ${self.address} ${reason.type}`),
      receive: {
        work: runWork,
        start: runWork,
        log: ({ log }) => log,
        crash() {
          throw new Error("Boom");
        },
        async crashLater(_, ms, { clock }) {
          await sleep(clock, ms);
          throw new Error("Boom");
        },
        async *ticks(_, everyMs, { clock, signal }) {
          for (let n = 0;; n++) {
            yield n;
            await sleep(clock, everyMs, signal);
          }
        },
        spawnChild: (_, id, context) =>
          context.spawn(definition, { failStart: false }, { id }).address,
        stopWatching({ log }, address, context) {
          const stop = context.watch({ address }, () => log.push("heard"));
          stop();
        },
      },
    },
  );
  async function runWork(
    { log }: { log: string[] },
    label: string,
    { clock }: { clock: Clock },
  ) {
    log.push(`+${label}`);
    await sleep(clock, 10);
    log.push(`-${label}`);
    return label;
  }
  return definition;
}

function open(): Fixture {
  const clock = new FakeClock();
  const system = createSystem({ node: "n", clock, rng: seededRng(1), log: silent, graceMs: 100 });
  const history: string[] = [];
  const worker = defineWorker(history);
  return {
    clock,
    system,
    history,
    spawn: (id) => system.spawn(worker, { failStart: id === "broken" }, id ? { id } : {}),
    async [Symbol.asyncDispose]() {
      const closing = system.shutdown();
      await clock.advance(1000);
      await closing;
    },
  };
}

Deno.test("an asynchronous handler holds the turn", async () => {
  await using test = open();
  const ref = test.spawn();
  const both = Promise.all([ref.ask("work", "a"), ref.ask("work", "b")]);
  await test.clock.advance(20);
  assert.deepEqual(await both, ["a", "b"]);
  assert.deepEqual(await ref.ask("log"), ["+a", "-a", "+b", "-b"]);
});

Deno.test("a concurrent method and a stream do not hold the turn", async () => {
  await using test = open();
  const ref = test.spawn();
  const stream = ref.stream("ticks", 5);
  await stream.next();
  const both = Promise.all([ref.ask("start", "a"), ref.ask("start", "b")]);
  await test.clock.settle();
  assert.deepEqual(await ref.ask("log"), ["+a", "+b"]);
  await test.clock.advance(10);
  await both;
  assert.equal((await stream.next()).value, 1);
  await stream.return?.();
});

Deno.test("restarts are limited within a window of time", async () => {
  await using test = open();
  const ref = test.spawn("x");
  const reason = Promise.withResolvers<TerminationReason>();
  test.system.watch(ref, reason.resolve);
  for (let crash = 0; crash < 2; crash++) await rejectsWith("AppError", ref.ask("crash"));
  await test.clock.advance(1001);
  for (let crash = 0; crash < 3; crash++) await rejectsWith("AppError", ref.ask("crash"));
  assert.deepEqual(await reason.promise, { type: "Failed", message: "Error: Boom" });
  await rejectsWith("Terminated", ref.ask("log"));
  assert.equal(test.history.filter((line) => line.startsWith("start")).length, 5);
  assert.equal(test.history.filter((line) => line.startsWith("stop")).length, 5);
});

Deno.test("a crash fails what else is in work, and spares what waits", async () => {
  await using test = open();
  const ref = test.spawn();
  const stream = ref.stream("ticks", 5);
  await stream.next();
  const started = rejectsWith("Terminated", ref.ask("start", "a"));
  const crash = rejectsWith("AppError", ref.ask("crashLater", 1));
  const waiting = ref.ask("log");
  const broken = rejectsWith("Terminated", collect(stream));
  await test.clock.advance(200);
  await Promise.all([started, crash, broken]);
  assert.deepEqual(await waiting, [], "the state is new");
});

Deno.test("an actor that cannot start terminates, and says why", async () => {
  await using test = open();
  const ref = test.spawn("broken");
  const reason = Promise.withResolvers<TerminationReason>();
  test.system.watch(ref, reason.resolve);
  const error = await rejectsWith("Terminated", ref.ask("log"));
  assert.match(error.message, /No disk/);
  assert.deepEqual(await reason.promise, { type: "Failed", message: "Error: No disk" });
  assert.deepEqual(test.history, ["start n/main/worker/broken"]);
});

Deno.test("ready() waits for the start", async () => {
  await using test = open();
  await test.system.ready(test.spawn());
  await rejectsWith("Terminated", test.system.ready(test.spawn("broken")));
});

Deno.test("children stop before their parent, also when it restarts", async () => {
  await using test = open();
  const parent = test.spawn("p");
  await parent.ask("spawnChild", "c1");
  await rejectsWith("AppError", parent.ask("crash"));
  await parent.ask("spawnChild", "c2");
  await test.system.stop(parent);
  assert.deepEqual(test.history.filter((line) => line.startsWith("stop")), [
    "stop n/main/worker/c1 Stopped",
    "stop n/main/worker/p Failed",
    "stop n/main/worker/c2 Stopped",
    "stop n/main/worker/p Stopped",
  ]);
});

Deno.test("stop() lets a turn finish, but not for ever", async () => {
  await using test = open();
  const ref = test.spawn();
  const running = rejectsWith("Terminated", ref.ask("work", "a"));
  const waiting = rejectsWith("Terminated", ref.ask("work", "b"));
  await test.clock.settle();
  const stopping = test.system.stop(ref);
  const [error] = [await waiting, await running];
  assert.equal(error.retryable, true, "what waited was certainly not carried out");
  assert.equal(test.history.length, 1, "its stop has not run yet");
  await test.clock.advance(10);
  await stopping;
  assert.equal(test.history.length, 2);
});

Deno.test("an address can be used again once its actor has terminated", async () => {
  await using test = open();
  const first = test.spawn("x");
  await rejectsWith("Denied", () => test.spawn("x"));
  await first.ask("log");
  await test.system.stop(first);
  test.spawn("x");
  assert.deepEqual(await first.ask("log"), [], "a reference names the address");
});

Deno.test("tell() to a full mailbox throws Overloaded and leaves a dead letter", async () => {
  await using test = open();
  const ref = test.spawn("x");
  const letters: DeadLetter[] = [];
  test.system.deadLetters.subscribe((letter) => letters.push(letter));
  for (let n = 0; n < 4; n++) ref.tell("start", String(n));
  const error = await rejectsWith("Overloaded", () => ref.tell("start", "5"));
  assert.deepEqual(error.details, { messages: 4, bytes: 4 * 18 });
  const to = "n/main/worker/x";
  assert.deepEqual(letters, [{ to, method: "start", reason: "Overloaded", message: "5" }]);
  assert.equal(test.system.deadLetters.count, 1);
});

Deno.test("a message that expires in the mailbox is a dead letter", async () => {
  await using test = open();
  const ref = test.spawn();
  void ref.ask("work", "a");
  await test.clock.settle();
  ref.tell("start", "late", { deadlineMs: 5 });
  const asked = rejectsWith("Timeout", ref.ask("log", undefined, { deadlineMs: 5 }));
  await test.clock.advance(10);
  await asked;
  assert.equal(test.system.deadLetters.countOf("Expired"), 1);
  assert.equal(test.system.deadLetters.countOf("Cancelled"), 1);
  assert.deepEqual(await ref.ask("log"), ["+a", "-a"]);
});

Deno.test("ask() has a deadline of 30 s when none is given", async () => {
  await using test = open();
  const ref = test.spawn();
  for (let n = 0; n < 3; n++) void ref.ask("crashLater", 1e9).catch(() => {});
  const waiting = rejectsWith("Timeout", ref.ask("log"));
  let settled = false;
  void waiting.then(() => settled = true);
  await test.clock.advance(29_999);
  assert.equal(settled, false);
  await test.clock.advance(1);
  await waiting;
});

Deno.test("context.watch() can be given up", async () => {
  await using test = open();
  const [ref, other] = [test.spawn(), test.spawn()];
  await ref.ask("stopWatching", other.address);
  await test.system.stop(other);
  assert.deepEqual(await ref.ask("log"), []);
});

Deno.test("a context passes deadline and cancellation on", async () => {
  await using test = open();
  const inner = test.spawn();
  const Outer = defineActor<{ forward(label: string): Promise<string> }, null>({
    kind: "outer",
    start: () => null,
    receive: { forward: (_, label, context) => inner.ask("work", label, context) },
  });
  const outer = test.system.spawn(Outer, undefined);
  await rejectsWith("Timeout", outer.ask("forward", "a", { deadlineMs: 0 }));
  const controller = new AbortController();
  const { signal } = controller;
  const running = inner.ask("work", "c", { signal });
  const waiting = outer.ask("forward", "b", { signal });
  await test.clock.settle();
  controller.abort();
  await Promise.all([rejectsWith("Cancelled", running), rejectsWith("Cancelled", waiting)]);
  await test.clock.advance(20);
  assert.deepEqual(await inner.ask("log"), ["+c", "-c"], "what waited was never carried out");
});

Deno.test("shutdown() drains, then stops everything", async () => {
  await using test = open();
  const ref = test.spawn();
  const working = ref.ask("work", "a");
  const closing = test.system.shutdown({ drainMs: 50 });
  await test.clock.advance(10);
  assert.equal(await working, "a");
  await test.clock.advance(50);
  await closing;
  await rejectsWith("Terminated", ref.ask("log"));
  await rejectsWith("Terminated", () => test.spawn());
});

Deno.test("shutdown() waits no longer than it was told", async () => {
  await using test = open();
  const ref = test.spawn();
  const working = rejectsWith("Terminated", ref.ask("crashLater", 1e9));
  const closing = test.system.shutdown({ drainMs: 50 });
  await test.clock.advance(50);
  await working;
  await test.clock.advance(100);
  await closing;
});

Deno.test("the scheduler lets timers run while actors keep each other busy", async () => {
  const system = createSystem({ node: "n", log: silent });
  const Pong = defineActor<{ ping(ref: string): void }, null>({
    kind: "pong",
    start: () => null,
    receive: {
      ping: (_, other, { system, self }) => {
        system.ref<{ ping(ref: string): void }>(other).tell("ping", self.address);
      },
    },
  });
  const [a, b] = [system.spawn(Pong, undefined), system.spawn(Pong, undefined)];
  a.tell("ping", b.address);
  for (let tick = 0; tick < 3; tick++) await new Promise((resolve) => setTimeout(resolve, 1));
  await system.shutdown();
});

Deno.test("names that cannot be part of an address are refused", async () => {
  await using test = open();
  for (const id of ["", "a/b", "a.b", "a b", "*", ">", "x".repeat(97), "é"]) {
    await rejectsWith("NoRoute", () => test.spawn(id || " "));
    await rejectsWith("NoRoute", () => test.system.ref(`n/main/worker/${id}`));
  }
  await rejectsWith("NoRoute", () => createSystem({ node: "a.b" }));
  await rejectsWith("NoRoute", () => test.system.ref("n/main/worker"));
});
