import assert from "node:assert/strict";
import {
  createMemoryNetwork,
  createSystem,
  defineActor,
  encode,
  FakeClock,
  openTelemetryTracer,
  reject,
  seededRng,
  type Tracer,
} from "../../runtime/mod.ts";
import { collect, rejectsWith } from "./support/assert.ts";
import { silent } from "./support/lanes.ts";

interface Relay {
  ask(hops: number): string;
  items(hops: number): AsyncIterable<number>;
  refuse(): void;
}

const root = `00-${"a".repeat(32)}-${"0".repeat(15)}1-01`;

interface Entry {
  readonly name: string;
  readonly parent: string;
  readonly trace: string;
  ended?: string;
}

/** Records spans as they begin and end. */
class Recorder implements Tracer {
  readonly entries: Entry[] = [];
  current(): string {
    return root;
  }
  start(name: string, parent: string) {
    const id = String(this.entries.length + 2).padStart(16, "0");
    const entry: Entry = { name, parent, trace: `00-${"a".repeat(32)}-${id}-01` };
    this.entries.push(entry);
    return {
      trace: entry.trace,
      end: (error?: Error) => {
        entry.ended = error?.message ?? "well";
      },
    };
  }
}

function open(tracers: readonly (Tracer | undefined)[]) {
  const clock = new FakeClock();
  const network = createMemoryNetwork({ clock, rng: seededRng(1) });
  const systems = tracers.map((tracer, n) => {
    const node = `n${n}`;
    const options = { node, clock, transport: network.connect(node), log: silent };
    const system = createSystem({ ...options, ...(tracer && { tracer }) });
    const relay = defineActor<Relay, null>({
      kind: "relay",
      start: () => null,
      receive: {
        ask: (_, hops, context) =>
          hops === 0
            ? context.trace ?? "none"
            : context.system.ref<Relay>(`n${n + 1}/main/relay/x`).ask("ask", hops - 1, context),
        async *items(_, hops, context) {
          const next = context.system.ref<Relay>(`n${n + 1}/main/relay/x`);
          if (hops > 0) yield* next.stream("items", hops - 1, context);
          else yield await Promise.resolve(1);
        },
        refuse: () => reject("no"),
      },
    });
    system.spawn(relay, undefined, { id: "x" });
    return system;
  });
  return {
    relay: systems[0]!.ref<Relay>("n0/main/relay/x"),
    systems,
    network,
    clock,
    async [Symbol.asyncDispose]() {
      const closed = Promise.all(systems.map((system) => system.shutdown()));
      await clock.advance(10_000);
      await closed;
    },
  };
}

Deno.test("a trace goes with asks and streams from node to node, a span for each", async () => {
  const recorder = new Recorder();
  await using test = open([recorder, recorder, recorder]);
  await test.relay.ask("ask", 2, { trace: root });
  assert.deepEqual(await collect(test.relay.stream("items", 2, { trace: root })), [1]);
  await test.clock.settle();
  const { entries } = recorder;
  const names = [
    "relay.ask",
    "relay.ask",
    "relay.ask",
    "relay.items",
    "relay.items",
    "relay.items",
  ];
  assert.deepEqual(entries.map(({ name }) => name), names);
  const parents = [root, entries[0]!.trace, entries[1]!.trace];
  assert.deepEqual(entries.slice(0, 3).map(({ parent }) => parent), parents);
  assert.equal(entries[4]!.parent, entries[3]!.trace);
  assert.ok(entries.every(({ ended }) => ended === "well"));
});

Deno.test("a node without a tracer passes the trace on; without a trace there is no span", async () => {
  const recorder = new Recorder();
  await using test = open([recorder, undefined, recorder]);
  const last = await test.relay.ask("ask", 2, { trace: root });
  const { entries } = recorder;
  assert.deepEqual(entries.map(({ parent }) => parent), [root, entries[0]!.trace]);
  assert.equal(last, entries[1]!.trace);
  assert.equal(await test.relay.ask("ask", 2), "none");
  assert.equal(entries.length, 2);
});

Deno.test("a span of what fails ends with the error", async () => {
  const recorder = new Recorder();
  await using test = open([recorder]);
  await rejectsWith("AppError", test.relay.ask("refuse", undefined, { trace: root }));
  assert.deepEqual(recorder.entries.map(({ ended }) => ended), ["no"]);
});

Deno.test("a trace of another form is malformed", async () => {
  await using test = open([new Recorder()]);
  const ask = { type: "ask", to: "n0/main/relay/x", from: "m/main", id: 1, method: "ask" };
  const envelope = { ...ask, message: 0, deadline: Infinity, trace: "x".repeat(1000) };
  const packet = { source: "m", incarnation: 1, sequence: 0, envelope };
  test.network.connect("m").publish("tandem._.n0._.m.main.relay.x", encode(packet));
  await test.clock.settle();
  assert.equal(test.systems[0]!.deadLetters.countOf("Malformed"), 1);
});

Deno.test("openTelemetryTracer() keeps the trace when nothing exports it", async () => {
  const tracer = await openTelemetryTracer();
  const span = tracer.start("x", root);
  assert.equal(span.trace, root);
  span.end(new Error("x"));
  assert.equal(tracer.current(), undefined);
});
