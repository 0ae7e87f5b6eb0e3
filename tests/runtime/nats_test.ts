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
import { rejectsWith, until } from "./support/assert.ts";
import { silent } from "./support/lanes.ts";
import { Probe, type ProbeProtocol } from "./support/probe.ts";

const quick = { pingIntervalMs: 50, reconnectMs: [5, 20], connectTimeoutMs: 500 } as const;

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
): Promise<{ system: System; transport: NatsTransport }> {
  const transport = await connect(server, { name: node });
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
  const a = await connect(server);
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
