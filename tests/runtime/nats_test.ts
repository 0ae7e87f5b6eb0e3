import assert from "node:assert/strict";
import {
  connectNats,
  createSystem,
  type NatsOptions,
  type NatsTransport,
  type System,
  type TransportEvent,
} from "../../runtime/mod.ts";
import { type NatsServer, startNats } from "../support/nats.ts";
import { startProxy } from "../support/proxy.ts";
import { rejectsWith, until } from "./support/assert.ts";
import { silent } from "./support/lanes.ts";
import { Probe, type ProbeProtocol } from "./support/probe.ts";

const quick = { reconnectMs: [5, 20] } as const;

/** Notices soon that the server is silent, and takes a slow machine for one. */
const impatient = { pingIntervalMs: 100, connectTimeoutMs: 2000 } as const;

function connect(server: NatsServer, options: Partial<NatsOptions> = {}): Promise<NatsTransport> {
  return connectNats({ servers: [server.url], ...quick, ...options });
}

/** The events of a transport, as they come. */
function record(transport: NatsTransport): TransportEvent["type"][] {
  const events: TransportEvent["type"][] = [];
  transport.watch(({ type }) => events.push(type));
  return events;
}

async function join(
  server: NatsServer,
  node: string,
  options: Partial<NatsOptions> = {},
): Promise<{ system: System; transport: NatsTransport }> {
  const transport = await connect(server, { name: node, ...options });
  const system = createSystem({ node, transport, kinds: [Probe], log: silent, graceMs: 0 });
  await transport.flush();
  return { system, transport };
}

Deno.test("connectNats() comes back after its server was killed, and is down meanwhile", async () => {
  await using server = await startNats();
  const [a, b] = [await connect(server), await connect(server)];
  const events = record(a);
  const heard: number[] = [];
  for (const pattern of ["x.>", "tandem.>"]) {
    b.subscribe(pattern, (_, [byte]) => heard.push(byte!));
  }
  await b.flush();
  a.publish("x.y", new Uint8Array([1]));
  a.publish("tandem._.b._.a.main", new Uint8Array([2]));
  await until(() => heard.length === 2);
  await server.kill();
  await until(() => !a.isUp && !b.isUp);
  assert.deepEqual(events, ["down"]);
  for (const subject of ["x.y", "tandem._.b._.a.main"]) {
    assert.throws(() => a.publish(subject, new Uint8Array(1)), {
      code: "NoRoute",
      retryable: true,
    });
  }
  await server.restart();
  await until(() => a.isUp && b.isUp);
  assert.deepEqual(events.filter((type) => type !== "failed"), ["down", "up"]);
  await b.flush();
  a.publish("x.y", new Uint8Array([3]));
  a.publish("tandem._.b._.a.main", new Uint8Array([4]));
  await until(() => heard.length === 4);
  await Promise.all([a.close(), b.close()]);
});

Deno.test("connectNats() gives up a server that has stopped answering", async () => {
  await using server = await startNats();
  const a = await connect(server, impatient);
  const events = record(a);
  await server.pause();
  await until(() => events.includes("down"));
  server.resume();
  await until(() => events.includes("up"));
  await a.close();
});

Deno.test("an ask fails at once when the connection is lost, on both sides", async () => {
  await using server = await startNats();
  const [a, b] = [await join(server, "a"), await join(server, "b")];
  const probe = await a.system.spawnOn<ProbeProtocol>("b/main", "probe", undefined, { id: "x" });
  const pending = rejectsWith("Terminated", probe.ask("hang"));
  const reason = Promise.withResolvers<string>();
  a.system.watch(probe, ({ type }) => reason.resolve(type));
  await probe.ask("echo", 1);
  await server.kill();
  await pending;
  assert.equal(await reason.promise, "Lost");
  await rejectsWith("NoRoute", probe.ask("echo", 2));
  await server.restart();
  await until(() => a.transport.isUp && b.transport.isUp);
  // What was sent before the other came back is lost, and is said to be lost.
  const echo = () => probe.ask("echo", 3).catch(({ code }) => assert.equal(code, "Terminated"));
  await until(async () => await echo() === 3);
  assert.deepEqual(await probe.ask("ended"), ["Terminated"]);
  await Promise.all([a.system.shutdown(), b.system.shutdown()]);
});

Deno.test("an ask fails soon after the process of the other is gone", async () => {
  await using server = await startNats();
  const [a, b] = [await join(server, "a"), await join(server, "b")];
  const probe = await a.system.spawnOn<ProbeProtocol>("b/main", "probe", undefined);
  const hanging = rejectsWith("Terminated", probe.ask("hang"));
  await probe.ask("echo", 1);
  // To the server it is the same as the end of the process.
  await b.transport.close();
  assert.equal((await hanging).message, "Node b: it is not connected");
  await rejectsWith("Terminated", probe.ask("echo", 2));
  await Promise.all([a.system.shutdown(), b.system.shutdown()]);
});

Deno.test("connectNats() tells that its server is about to stop", async () => {
  await using server = await startNats();
  const a = await connect(server);
  const events = record(a);
  server.signal("SIGUSR2");
  await until(() => events.includes("retiring"));
  await a.close();
});

Deno.test("what the server does not allow fails at once, and is told", async () => {
  const config = `authorization { users: [
    { user: "a", password: "p", permissions: { publish: ["tandem._.b._.a.main.probe.>", "tandem._.b._.a.main"], subscribe: ["tandem._.a.>"] } }
    { user: "b", password: "p" }
  ] }`;
  await using server = await startNats({ config });
  const a = await join(server, "a", { user: "a", password: "p" });
  const b = await join(server, "b", { user: "b", password: "p" });
  for (const kind of ["probe", "other"]) {
    b.system.spawn({ ...Probe, kind }, undefined, { id: "x" });
  }
  assert.equal(await a.system.ref<ProbeProtocol>("b/main/probe/x").ask("echo", 1), 1);
  const forbidden = a.system.ref<ProbeProtocol>("b/main/other/x");
  await rejectsWith("Denied", forbidden.ask("echo", 1));
  await rejectsWith("Denied", async () => {
    for await (const _ of forbidden.stream("count", 3));
  });
  const reason = Promise.withResolvers<string>();
  a.system.watch(forbidden, ({ type }) => reason.resolve(type));
  assert.equal(await reason.promise, "Lost");
  const refused: TransportEvent[] = [];
  a.transport.watch((event) => refused.push(event));
  a.transport.subscribe("tandem._.b.>", () => assert.fail("heard what is not for it"));
  await until(() => refused.length > 0);
  assert.deepEqual(refused, [
    { type: "refused", operation: "subscribe", subject: "tandem._.b.>" },
  ]);
  assert.equal(await a.system.ref<ProbeProtocol>("b/main/probe/x").ask("echo", 2), 2);
  await Promise.all([a.system.shutdown(), b.system.shutdown()]);
});

Deno.test("messages of any size pass a server with small payloads", async () => {
  await using server = await startNats({ config: "max_payload: 4096" });
  const [a, b] = [await join(server, "a"), await join(server, "b")];
  const probe = await a.system.spawnOn<ProbeProtocol>("b/main", "probe", undefined);
  const data = Float32Array.from({ length: 200_000 }, (_, i) => i);
  const small = probe.ask("echo", "passes by");
  const large = probe.ask("echo", { data });
  assert.equal(await small, "passes by");
  assert.deepEqual(await large, { data });
  await Promise.all([a.system.shutdown(), b.system.shutdown()]);
});

Deno.test("a slow network delays, a dead one is noticed, and both sides come together again", async () => {
  await using server = await startNats();
  await using proxy = startProxy(server.port);
  const through = { ...server, url: `nats://127.0.0.1:${proxy.port}` };
  const [a, b] = [await join(server, "a"), await join(through, "b", { pingIntervalMs: 200 })];
  const events = record(b.transport);
  const probe = await a.system.spawnOn<ProbeProtocol>("b/main", "probe", undefined);
  proxy.delayMs = 20;
  const data = new Uint8Array(500_000).fill(3);
  assert.deepEqual(await probe.ask("echo", { data }), { data });
  proxy.delayMs = 0;
  assert.equal(events.length, 0);
  const hanging = rejectsWith("Terminated", probe.ask("hang"));
  await probe.ask("echo", "behind it");
  proxy.stall();
  await until(() => events.includes("down"));
  proxy.cut();
  proxy.resume();
  proxy.mend();
  await until(() => b.transport.isUp);
  // The other side was never cut off: it hears of it from the one that was.
  await hanging;
  assert.equal(await probe.ask("echo", "again"), "again");
  await Promise.all([a.system.shutdown(), b.system.shutdown()]);
});

Deno.test("a receiver that takes nothing fills no memory, and holds up nobody else", async () => {
  await using server = await startNats();
  await using proxy = startProxy(server.port);
  const through = { ...server, url: `nats://127.0.0.1:${proxy.port}` };
  const patient = { pingIntervalMs: 60_000 };
  const nodes = [
    await join(server, "a", patient),
    await join(through, "b", patient),
    await join(server, "c", patient),
  ] as const;
  const [a, ...others] = nodes;
  for (const { system } of others) system.spawn(Probe, undefined, { id: "x" });
  const stuck = a.system.ref<ProbeProtocol>("b/main/probe/x");
  const free = a.system.ref<ProbeProtocol>("c/main/probe/x");
  proxy.stall();
  const data = new Uint8Array(1 << 20);
  const asked = Array.from(
    { length: 100 },
    () => stuck.ask("echo", data, { deadlineMs: 500 }).catch(({ code }) => code),
  );
  assert.equal((await free.ask("echo", data) as Uint8Array).length, data.length);
  const codes = Map.groupBy(await Promise.all(asked), (code) => code);
  assert.deepEqual([...codes.keys()].sort(), ["Overloaded", "Timeout"]);
  assert.ok(codes.get("Overloaded")!.length >= 30);
  proxy.resume();
  assert.equal(
    await stuck.ask("echo", "what waited too long is gone"),
    "what waited too long is gone",
  );
  await Promise.all(nodes.map(({ system }) => system.shutdown()));
});

Deno.test("connectNats() gives up a stalled server over WebSockets too", async () => {
  const config = `websocket { listen: "127.0.0.1:-1", no_tls: true }`;
  await using server = await startNats({ config });
  await using proxy = startProxy(server.webSocketPort);
  const a = await connectNats({
    servers: [`ws://127.0.0.1:${proxy.port}`],
    ...quick,
    ...impatient,
  });
  const events = record(a);
  proxy.stall();
  for (let n = 0; n < 30; n++) a.publish("tandem.x", new Uint8Array(1 << 20));
  await until(() => events.includes("down"));
  proxy.cut();
  proxy.resume();
  proxy.mend();
  await until(() => a.isUp);
  await a.close();
});

Deno.test("publish() refuses a subject that would be another command", async () => {
  await using server = await startNats();
  const a = await connect(server);
  for (const subject of ["x 0\r\n\r\nPUB y", "x y", "x\t"]) {
    assert.throws(() => a.publish(subject, new Uint8Array(1)), { code: "Denied" });
    assert.throws(() => a.probe("x", subject, new Uint8Array(1)), { code: "Denied" });
  }
  await a.flush();
  await a.close();
});
