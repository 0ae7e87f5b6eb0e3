import assert from "node:assert/strict";
import fc from "fast-check";
import {
  createMemoryNetwork,
  createSystem,
  defineActor,
  FakeClock,
  type MemoryNetworkOptions,
  reject,
  roleOf,
  seededRng,
  type System,
  type TerminationReason,
} from "../../runtime/mod.ts";
import {
  decodePacket,
  encodeMessage,
  encodePartHead,
  stamp,
} from "../../runtime/transport/link/packet.ts";
import type { Envelope } from "../../runtime/transport/mod.ts";
import { rejectsWith } from "./support/assert.ts";
import { silent } from "./support/lanes.ts";
import { Probe, type ProbeProtocol } from "./support/probe.ts";

function open(options: Partial<MemoryNetworkOptions> = {}) {
  const clock = new FakeClock();
  const network = createMemoryNetwork({ clock, rng: seededRng(5), ...options });
  const systems: System[] = [];
  const join = (node: string) => {
    const transport = network.connect(node);
    const system = createSystem({
      node,
      clock,
      transport,
      log: silent,
      kinds: [Probe],
      graceMs: 0,
    });
    systems.push(system);
    return system;
  };
  const close = async () => {
    const closing = systems.map((system) => system.shutdown());
    await clock.advance(1000);
    await Promise.all(closing);
  };
  return { clock, network, join, [Symbol.asyncDispose]: close };
}

Deno.test("messages larger than a payload travel in parts", async () => {
  await using test = open({ maxPayload: 2000 });
  const [a] = [test.join("a"), test.join("b")];
  const probe = await a.spawnOn<ProbeProtocol>("b/main", "probe", undefined);
  const data = Float32Array.from({ length: 10_000 }, (_, i) => i);
  assert.deepEqual(await probe.ask("echo", { data }), { data });
  assert.ok(test.network.counts.sent > 40);
});

Deno.test("a message that loses a part is lost as a whole, and the next ones arrive", async () => {
  await using test = open({ maxPayload: 2000, loss: 0.1, latencyMs: 1 });
  const [a, b] = [test.join("a"), test.join("b")];
  b.spawn(Probe, undefined, { id: "x" });
  const probe = a.ref<ProbeProtocol>("b/main/probe/x");
  const data = Uint8Array.from({ length: 8000 }, (_, i) => i);
  const asked = Array.from({ length: 30 }, async (_, n) => {
    await test.clock.advance(0);
    return probe.ask("echo", { n, data }, { deadlineMs: 200 });
  });
  const results = Promise.allSettled(asked);
  await test.clock.advance(500);
  const answers = (await results).filter((result) => result.status === "fulfilled");
  assert.ok(answers.length > 0 && answers.length < 30, `${answers.length} of 30 arrived`);
  for (const { value } of answers) assert.deepEqual((value as { data: unknown }).data, data);
});

Deno.test("a message over 64 MiB is refused with TooLarge where it is sent", async () => {
  await using test = open();
  const a = test.join("a");
  const probe = a.ref<ProbeProtocol>("b/main/probe/x");
  await rejectsWith("TooLarge", probe.ask("echo", new Uint8Array(65 << 20)));
});

Deno.test("what the codec cannot carry is refused where it is sent", async () => {
  await using test = open();
  const [a] = [test.join("a"), test.join("b")];
  const probe = await a.spawnOn<ProbeProtocol>("b/main", "probe", undefined);
  await rejectsWith("AppError", probe.ask("echo", new Map()));
  await rejectsWith("AppError", probe.ask("unclonable"));
  assert.deepEqual(await probe.ask("list"), []);
});

Deno.test("a partition ends in Timeout, and heals", async () => {
  await using test = open();
  const [a] = [test.join("a"), test.join("b")];
  const probe = await a.spawnOn<ProbeProtocol>("b/main", "probe", undefined);
  const heal = test.network.partition("b");
  const cut = rejectsWith("Timeout", probe.ask("echo", 1, { deadlineMs: 100 }));
  await test.clock.advance(100);
  await cut;
  heal();
  assert.equal(await probe.ask("echo", 2), 2);
});

Deno.test("nodeDown() fails what waits for the node, and tells who watches", async () => {
  await using test = open();
  const [a, b] = [test.join("a"), test.join("b")];
  b.spawn(Probe, undefined, { id: "x" });
  const probe = a.ref<ProbeProtocol>("b/main/probe/x");
  const reason = Promise.withResolvers<TerminationReason>();
  a.watch(probe, reason.resolve);
  const pending = rejectsWith("Terminated", probe.ask("hang"));
  await test.clock.settle();
  a.nodeDown("b", "no heartbeat");
  await pending;
  assert.deepEqual(await reason.promise, { type: "Lost", message: "Node b: no heartbeat" });
});

Deno.test("a node that comes back in a new life fails what waited for the former", async () => {
  await using test = open();
  const [a, b] = [test.join("a"), test.join("b")];
  b.spawn(Probe, undefined, { id: "x" });
  const probe = a.ref<ProbeProtocol>("b/main/probe/x");
  await probe.ask("echo", 0);
  const heal = test.network.partition("b");
  const pending = rejectsWith("Terminated", probe.ask("hang"));
  await test.clock.settle();
  heal();
  const closing = b.shutdown();
  await test.clock.advance(10);
  await closing;
  const again = test.join("b");
  void again.ref<ProbeProtocol>("a/main/probe/any").ask("list").catch(() => {});
  await test.clock.settle();
  await pending;
});

/** A packet as a node would send it, whatever the envelope is. */
function packetOf(envelope: unknown, sequence = 0, incarnation = 1): Uint8Array {
  const message = encodeMessage(envelope as Envelope, 2 ** 20);
  return stamp(message, "message", { incarnation, sequence });
}

Deno.test("hostile packets are dead letters and nothing more", async () => {
  await using test = open();
  const a = test.join("a");
  a.spawn(Probe, undefined, { id: "x" });
  const mallory = test.network.connect("mallory");
  const from = "m/main";
  const envelopes: unknown[] = [
    null,
    { type: "tell" },
    { type: "constructor", to: "a/main/probe/x", from },
    { type: "tell", to: "../../x", from, method: "add", deadline: 0 },
    { type: "tell", to: "a/main/probe/x", method: "add", deadline: 0 },
    { type: "ask", to: "a/main/probe/x", from: "m", id: 1, method: "add", deadline: 1 },
    { type: "fail", to: "a/main", from, id: 1, error: null },
  ];
  for (const [sequence, envelope] of envelopes.entries()) {
    mallory.publish("tandem._.a._.m.main", packetOf(envelope, sequence));
  }
  const head = { incarnation: 1, sequence: 50 };
  const parts = [[50, 0, 1e9], [50, 5, 2], [50, -1, 3], [51, 0, 10], [NaN, 0, 10], [50, 0.5, 10]];
  for (const [message = 0, offset = 0, total = 0] of parts) {
    const part = encodePartHead(head, { message, offset, total });
    mallory.publish("tandem._.a._.m.main", part, new Uint8Array(3));
  }
  mallory.publish("tandem._.a._.m.main", packetOf({}, 60, NaN));
  mallory.publish("tandem._.a._.m.main", packetOf({}, 2 ** 60));
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 100 }), fc.boolean(), async (bytes, isHead) => {
      if (isHead) bytes.set([2, bytes[1]! % 4].slice(0, bytes.length));
      mallory.publish("tandem._.a._.m.x", bytes);
      await null;
    }),
  );
  await test.clock.settle();
  assert.ok(a.deadLetters.countOf("Malformed") > 100);
  assert.deepEqual(await a.ref<ProbeProtocol>("a/main/probe/x").ask("list"), []);
});

Deno.test("who may publish as one node cannot speak as another or to another kind", async () => {
  await using test = open();
  const [a, b] = [test.join("a"), test.join("b")];
  for (const system of [a, b]) system.spawn(Probe, undefined, { id: "x" });
  const mallory = test.network.connect("mallory");
  const tell = { type: "tell", to: "a/main/probe/x", from: "m/main", method: "add", message: 1 };
  const add = { ...tell, deadline: Infinity };
  const forged = [
    ["tandem._.a._.b.main.probe.x", add],
    ["tandem._.a.worker.m.main.probe.x", add],
    ["tandem._.a._.m.main.other.x", add],
    ["tandem._.a._.m.main", add],
    ["tandem._.a._.m.main.probe.x", { ...add, to: "b/main/probe/x" }],
    ["tandem._.a._.m.main.probe.x", { ...add, from: "b/main" }],
  ] as const;
  for (const [sequence, [subject, envelope]] of forged.entries()) {
    mallory.publish(subject, packetOf(envelope, sequence));
  }
  await test.clock.settle();
  assert.equal(a.deadLetters.countOf("Denied"), forged.length);
  assert.deepEqual(await a.ref<ProbeProtocol>("a/main/probe/x").ask("list"), []);
  mallory.publish("tandem._.a._.m.main.probe.x", packetOf(add, 9));
  await test.clock.settle();
  assert.deepEqual(await b.ref<ProbeProtocol>("a/main/probe/x").ask("list"), [1]);
});

Deno.test("an answer counts only from the node that was asked", async () => {
  await using test = open();
  const [a, b] = [test.join("a"), test.join("b")];
  b.spawn(Probe, undefined, { id: "x" });
  const spy = test.network.connect("spy");
  const asked: number[] = [];
  spy.subscribe("tandem._.b.>", (_, bytes) => {
    const packet = decodePacket(bytes);
    if (packet.kind === "message" && packet.envelope.type === "ask") asked.push(packet.envelope.id);
  });
  const answer = a.ref<ProbeProtocol>("b/main/probe/x").ask("hang", undefined, { deadlineMs: 50 });
  const refused = rejectsWith("Timeout", answer);
  await test.clock.settle();
  const reply = { type: "reply", to: "a/main", from: "m/main", id: asked[0], message: "forged" };
  spy.publish("tandem._.a._.m.main", packetOf(reply));
  await test.clock.settle();
  assert.equal(a.deadLetters.countOf("Denied"), 1);
  await test.clock.advance(50);
  await refused;
});

Deno.test("messages of other nodes are checked, those of the same node are not", async () => {
  await using test = open();
  const [a, b] = [test.join("a"), test.join("b")];
  interface Squares {
    square(n: number): number;
  }
  const Squarer = defineActor<Squares, null>({
    kind: "squarer",
    start: () => null,
    checks: {
      square: (message) => {
        if (typeof message !== "number") reject("Cannot square");
      },
    },
    receive: { square: (_, n) => n * n },
  });
  const local = b.spawn(Squarer, undefined, { id: "x" });
  const remote = a.ref<Squares>(local.address);
  assert.equal(await remote.ask("square", 3), 9);
  const error = await rejectsWith("AppError", remote.ask("square", "3" as unknown as number));
  assert.deepEqual([error.message, error.retryable], ["Cannot square", false]);
  assert.equal(b.deadLetters.countOf("Malformed"), 1);
  assert.equal(await local.ask("square", "3" as unknown as number), 9);
  for (const order of [null, 1, { kind: 1 }, { kind: "probe", id: {} }]) {
    await rejectsWith(
      "AppError",
      a.ref<{ spawn(o: unknown): string }>("b/main/system/root")
        .ask("spawn", order),
    );
  }
});

Deno.test("nodes with roles reach each other, and announce themselves as what they are", async () => {
  await using test = open();
  const [worker, plain] = [test.join("worker:a"), test.join("a")];
  const subjects: string[] = [];
  test.network.connect("spy").subscribe("tandem.>", (subject) => void subjects.push(subject));
  const probe = await worker.spawnOn<ProbeProtocol>("a/main", "probe", undefined, { id: "x" });
  await probe.ask("add", 1);
  plain.spawn(Probe, undefined, { id: "y" });
  assert.deepEqual(await plain.ref<ProbeProtocol>("a/main/probe/x").ask("list"), [1]);
  assert.deepEqual(
    new Set(subjects),
    new Set([
      "tandem._.a.worker.a.main.system.root",
      "tandem._.a.worker.a.main.probe.x",
      "tandem._.a.worker.a.main",
      "tandem.worker.a._.a.main",
    ]),
  );
  assert.deepEqual([roleOf("worker:a"), roleOf("a")], ["worker", ""]);
  for (const node of [":a", "a:", "a:b:c", "_:a", "a.b:c"]) assert.throws(() => test.join(node));
});

Deno.test("createMemoryNetwork() matches subjects as NATS does", () => {
  const network = createMemoryNetwork({ clock: new FakeClock(), rng: seededRng(1) });
  const [a, b] = [network.connect("a"), network.connect("b")];
  const cases: [string, string, boolean][] = [
    ["x.y", "x.y", true],
    ["x.*", "x.y", true],
    ["x.*", "x.y.z", false],
    ["x.>", "x.y.z", true],
    ["x.>", "x", false],
    ["*.y", "x.z", false],
  ];
  for (const [pattern, subject, expected] of cases) {
    const before = network.counts.sent;
    const unsubscribe = b.subscribe(pattern, () => {});
    a.publish(subject, new Uint8Array(1));
    unsubscribe();
    assert.equal(network.counts.sent > before, expected, `${pattern} ${subject}`);
  }
});

Deno.test("createMemoryNetwork() refuses what a server would refuse", async () => {
  const network = createMemoryNetwork({
    clock: new FakeClock(),
    rng: seededRng(1),
    maxPayload: 10,
  });
  const a = network.connect("a");
  assert.throws(() => a.publish("x", new Uint8Array(11)), { code: "TooLarge" });
  await a.close();
  await a.closed;
  assert.throws(() => a.publish("x", new Uint8Array(1)), { code: "NoRoute" });
});
