import assert from "node:assert/strict";
import {
  createMemoryNetwork,
  FakeClock,
  type MemoryNetworkOptions,
  seededRng,
} from "../../runtime/mod.ts";
import type { Envelope } from "../../runtime/transport/mod.ts";
import { TransportLink } from "../../runtime/transport/mod.ts";
import { encodePartHead } from "../../runtime/transport/link/packet.ts";

const limits = {
  largeBytes: 1000,
  windowBytes: 16_500,
  waitingBytes: 50_000,
  probeMs: 100,
  probes: 10,
};

/** Two nodes whose links have small limits, and what they tell. */
function open(options: Partial<MemoryNetworkOptions> = {}) {
  const clock = new FakeClock();
  const faults = { clock, rng: seededRng(1), maxPayload: 4096, loss: 0, ...options };
  const network = createMemoryNetwork(faults);
  const join = (node: string) => {
    const got: Envelope[] = [];
    const dropped: string[] = [];
    const gone: string[] = [];
    const transport = network.connect(node);
    const newIncarnation = () => clock.now();
    const linkOptions = { node, clock, newIncarnation, maxMessageBytes: 40_000, limits };
    const link = new TransportLink(transport, linkOptions, {
      receive: (envelope) => got.push(envelope),
      dropped: (_, reason) => dropped.push(reason),
      missing: (_, method) => dropped.push(`${method} Lost`),
      unsent: ({ type }, reason) => dropped.push(`${type} ${reason}`),
      lost: (loss) => {
        gone.push(loss.prefix + (loss.onlyServed ? " served" : ""));
        link.lost(loss);
      },
      refused: () => {},
      warn: () => {},
    });
    return { link, transport, got, dropped, gone };
  };
  return { clock, network, faults, join, a: join("a"), b: join("b") };
}

function tell(to: string, method: string, bytes = 0, deadline = Infinity): Envelope {
  const message = new Uint8Array(bytes);
  return { type: "tell", to: `b/main/x/${to}`, from: "a/main", method, message, deadline };
}

const methods = (got: readonly Envelope[]) =>
  got.map((envelope) => "method" in envelope ? envelope.method : envelope.type);

Deno.test("TransportLink keeps order behind a large message for the same actor, and no other", async () => {
  const { a, b, clock } = open({ latencyMs: 1 });
  for (const large of ["1", "2", "3"]) a.link.send(tell("x", large, 10_000));
  a.link.send(tell("x", "4"));
  a.link.send(tell("y", "passes by"));
  await clock.advance(100);
  assert.deepEqual(methods(b.got), ["1", "passes by", "2", "3", "4"]);
});

Deno.test("TransportLink sends no more than the receiver takes", async () => {
  const { a, b, clock, network } = open({ latencyMs: 1 });
  const heal = network.partition("b");
  for (const large of ["1", "2", "3"]) a.link.send(tell("x", large, 12_000));
  await clock.settle();
  assert.equal(network.counts.sent, 3 + 1, "a window of parts");
  heal();
  await clock.advance(1000);
  assert.deepEqual(methods(b.got), ["3"], "of the others, parts were lost");
});

Deno.test("TransportLink refuses what would wait too long in memory", async () => {
  const { a, b, clock } = open({ latencyMs: 1 });
  const sent = ["1", "2", "3", "4", "5", "6"].filter((large) => {
    try {
      a.link.send(tell("x", large, 12_000));
      return true;
    } catch (error) {
      assert.equal((error as { code: string }).code, "Overloaded");
      return false;
    }
  });
  assert.ok(sent.length >= 4 && sent.length < 6, `${sent.length} were taken`);
  await clock.advance(100);
  assert.deepEqual(methods(b.got), sent);
  a.link.send(tell("x", "again", 12_000));
  await clock.advance(100);
  assert.equal(methods(b.got).at(-1), "again");
});

Deno.test("TransportLink says of every message that was lost that it was, and goes on", async () => {
  for (let seed = 0; seed < 30; seed++) {
    const { a, b, clock, faults } = open({ latencyMs: 1, rng: seededRng(seed) });
    for (const node of [a, b]) node.link.send(askOf(node === a ? "a" : "b", 99));
    await clock.advance(10);
    a.got.length = b.got.length = 0;
    faults.loss = 0.3;
    const ids = Array.from({ length: 12 }, (_, id) => id);
    for (const id of ids) {
      const message = new Uint8Array(id % 3 === 0 ? 6000 : 0);
      a.link.send({ ...askOf("a", id), message } as Envelope);
      a.link.send(tell("y", `tell ${id}`));
      await clock.advance(3);
    }
    await clock.advance(3000);
    const arrived = methods(b.got);
    const failed = a.got.map((answer) => `ask ${"id" in answer ? answer.id : ""}`);
    const lost = a.dropped.map((text) => text.replace(" Lost", ""));
    const all = ids.flatMap((id) => [`ask ${id}`, `tell ${id}`]);
    assert.deepEqual([...arrived, ...failed, ...lost].sort(), all.sort(), `seed ${seed}`);
    const numbers = arrived.map((method) => Number(method.split(" ")[1]));
    assert.deepEqual(numbers, numbers.toSorted((x, y) => x - y), `seed ${seed}`);
    assert.deepEqual(a.gone, []);
    assert.ok(a.got.every((answer) => answer.type === "fail" && answer.error.retryable));
  }
});

Deno.test("TransportLink makes good what was lost", async () => {
  const { a, b, clock, network } = open({ latencyMs: 1 });
  a.link.send(askOf("a", 1));
  await clock.advance(10);
  const heal = network.partition("b");
  b.link.send({ type: "reply", to: "a/main", from: "b/main", id: 1, message: null });
  a.link.send({ type: "credit", to: "b/main", from: "a/main", id: 1, granted: 9 });
  a.link.send(askOf("a", 2));
  a.link.send(tell("y", "tell"));
  await clock.advance(10);
  heal();
  await clock.advance(200);
  const failures = a.got.map((answer) =>
    answer.type === "fail" ? [answer.id, answer.error.code, answer.error.retryable] : []
  );
  assert.deepEqual(failures, [[2, "NoRoute", true], [1, "Terminated", false]]);
  assert.deepEqual(a.dropped, ["tell Lost"]);
  assert.deepEqual(b.got.map(({ type }) => type), ["ask", "credit", "cancel"]);
});

Deno.test("TransportLink gives up a receiver that takes nothing any more", async () => {
  const { a, clock, network } = open();
  network.partition("b");
  for (const large of ["1", "2", "3"]) a.link.send(tell("x", large, 12_000));
  await clock.advance(1000);
  assert.deepEqual(a.gone, []);
  await clock.advance(200);
  assert.deepEqual(a.gone, ["b/"]);
  assert.deepEqual(a.dropped, ["tell Terminated", "tell Terminated"]);
});

Deno.test("TransportLink drops what has expired while it waited", async () => {
  const { a, b, clock, network } = open();
  const heal = network.partition("b");
  a.link.send(tell("x", "1", 15_000));
  a.link.send(tell("x", "2", 15_000, clock.now() + 50));
  a.link.send(tell("x", "3", 15_000, clock.now() + 5000));
  await clock.advance(60);
  heal();
  await clock.advance(1000);
  assert.deepEqual(methods(b.got), ["3"]);
  assert.deepEqual(a.dropped, ["tell Expired"]);
});

Deno.test("TransportLink takes back a request that is cancelled while it waits", async () => {
  const { a, b, clock } = open({ latencyMs: 1 });
  const from = "a/main";
  const ask = (id: number) => {
    const message = new Uint8Array(15_000);
    const rest = { from, id, method: `ask ${id}`, message, deadline: Infinity } as const;
    a.link.send({ type: "ask", to: "b/main/x/y", ...rest });
  };
  ask(1);
  ask(2);
  a.link.send({ type: "cancel", to: "b/main", from, id: 2 });
  a.link.send({ type: "cancel", to: "b/main", from, id: 1 });
  await clock.advance(100);
  assert.deepEqual(methods(b.got), ["ask 1", "cancel"]);
});

Deno.test("TransportLink bounds what has half come, over all nodes together", async () => {
  const { b, clock, network } = open();
  const mallory = network.connect("mallory");
  for (let n = 0; n < 60; n++) {
    const head = { incarnation: 1, sequence: 7 };
    const part = encodePartHead(head, { message: 7, offset: 0, total: 40_000 });
    mallory.publish(`tandem._.b._.m${n}.main`, part, new Uint8Array(4000));
    await clock.settle();
    if (n === 50) b.link.lost({ prefix: "m0/", why: "gone" });
  }
  assert.equal(b.dropped.length, 60 - 40 - 1);
});

Deno.test("TransportLink begins a new life after a cut, of which the others hear", async () => {
  const { a, b, clock, network } = open();
  a.link.send(tell("x", "1"));
  b.link.send(askOf("b", 1));
  await clock.advance(1);
  const plug = network.disconnect("b");
  assert.throws(() => b.link.send(tell("x", "3")), { code: "NoRoute" });
  a.link.send(askOf("a", 2));
  await clock.settle();
  plug();
  await clock.advance(1);
  assert.deepEqual(a.gone, ["b/ served"]);
  a.link.send(tell("x", "4"));
  await clock.advance(1);
  assert.deepEqual(methods(b.got), ["1", "4"]);
  assert.deepEqual(methods(a.got), ["ask 1", "fail"], "what was lost meanwhile fails");
});

/** An ask of one node to the other. */
function askOf(from: "a" | "b", id: number): Envelope {
  const to = `${from === "a" ? "b" : "a"}/main/x/y`;
  const rest = { from: `${from}/main`, id, method: `ask ${id}`, message: null } as const;
  return { type: "ask", to, ...rest, deadline: Infinity };
}

Deno.test("TransportLink notices, while it waits for an answer, that the other is not connected", async () => {
  const { a, clock, network } = open({ latencyMs: 1 });
  a.link.send(askOf("a", 1));
  await clock.advance(1000);
  assert.deepEqual(a.gone, []);
  network.disconnect("b");
  await clock.advance(100);
  assert.deepEqual(a.gone, ["b/"]);
  const { sent } = network.counts;
  await clock.advance(1000);
  assert.equal(network.counts.sent, sent, "what waits for nothing asks nothing");
});

Deno.test("TransportLink fails what a former life was asked, and not what the new one answers", async () => {
  const { a, b, clock, join } = open({ latencyMs: 1 });
  a.link.send(askOf("a", 1));
  await clock.advance(10);
  b.link.send({ type: "reply", to: "a/main", from: "b/main", id: 1, message: null });
  a.link.send(askOf("a", 2));
  await clock.advance(10);
  await b.link.close();
  const again = join("b");
  a.link.send(askOf("a", 3));
  await clock.advance(10);
  again.link.send({ type: "reply", to: "a/main", from: "b/main", id: 3, message: null });
  await clock.advance(10);
  const answers = a.got.map((envelope) =>
    "id" in envelope ? `${envelope.type} ${envelope.id}` : ""
  );
  assert.deepEqual(answers, ["reply 1", "fail 2", "reply 3"]);
  assert.deepEqual(methods(again.got), ["ask 3"]);
});
