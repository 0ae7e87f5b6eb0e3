import assert from "node:assert/strict";
import {
  connectNats,
  createMemoryNetwork,
  seededRng,
  systemClock,
  type Transport,
} from "../../runtime/mod.ts";
import { startNats } from "../support/nats.ts";
import { until } from "./support/assert.ts";

interface Network extends AsyncDisposable {
  connect(): Promise<Transport>;
}

const tls = new URL("../support/tls/", import.meta.url).pathname;

/** The transports that keep the contract, by name. */
const networks: Readonly<Record<string, () => Promise<Network>>> = {
  memory() {
    const network = createMemoryNetwork({ clock: systemClock(), rng: seededRng(1) });
    let members = 0;
    const connect = () => Promise.resolve(network.connect(`${members++}`));
    return Promise.resolve({ connect, [Symbol.asyncDispose]: () => Promise.resolve() });
  },
  "NATS over TCP": () => overNats("nats"),
  "NATS over TLS": () =>
    overNats("tls", `tls { cert_file: "${tls}server.pem", key_file: "${tls}server.key" }`),
  "NATS over WebSockets": () =>
    overNats("ws", `websocket { listen: "127.0.0.1:-1", no_tls: true }`),
};

async function overNats(scheme: "nats" | "tls" | "ws", config = ""): Promise<Network> {
  const server = await startNats({ config });
  const port = scheme === "ws" ? server.webSocketPort : server.port;
  const servers = [`${scheme}://127.0.0.1:${port}`];
  const options = scheme === "tls" ? { servers, tls: { caFile: `${tls}ca.pem` } } : { servers };
  return {
    connect: () => connectNats(options),
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

type Contract = (network: Network) => Promise<void>;

/** Two connections, and what the second hears under a pattern. */
async function pair(network: Network, pattern: string) {
  const [from, to] = [await network.connect(), await network.connect()];
  const heard: [subject: string, bytes: Uint8Array][] = [];
  const unsubscribe = to.subscribe(pattern, (subject, bytes) => heard.push([subject, bytes]));
  await to.flush();
  const close = async () => {
    await Promise.all([from.close(), to.close()]);
  };
  return { from, to, heard, unsubscribe, [Symbol.asyncDispose]: close };
}

const contract: Readonly<Record<string, Contract>> = {
  "publish() keeps order, and what was heard stays as it was": async (network) => {
    await using test = await pair(network, "tandem.x.>");
    const sizes = Array.from({ length: 200 }, (_, n) => n % 10 === 0 ? 100_000 : n);
    for (const [n, size] of sizes.entries()) {
      test.from.publish("tandem.x.y", new Uint8Array([n]), new Uint8Array(size).fill(n));
    }
    await until(() => test.heard.length === sizes.length);
    for (const [n, size] of sizes.entries()) {
      const [subject, bytes] = test.heard[n]!;
      assert.equal(subject, "tandem.x.y");
      assert.equal(bytes.length, size + 1);
      assert.ok(bytes.every((byte) => byte === n), `message ${n}`);
    }
  },

  "publish() joins pieces": async (network) => {
    await using test = await pair(network, "x");
    test.from.publish("x", new Uint8Array([1, 2]), new Uint8Array(0), new Uint8Array([3]));
    test.from.publish("x");
    await until(() => test.heard.length === 2);
    assert.deepEqual(test.heard.map(([, bytes]) => [...bytes]), [[1, 2, 3], []]);
  },

  "publish() carries as much as maxPayload, and refuses more": async (network) => {
    await using test = await pair(network, "x");
    const { maxPayload } = test.from;
    const most = new Uint8Array(maxPayload).fill(5);
    test.from.publish("x", most.subarray(0, 10), most.subarray(10));
    await until(() => test.heard.length === 1);
    assert.equal(test.heard[0]![1].length, maxPayload);
    assert.throws(() => test.from.publish("x", most, new Uint8Array(1)), { code: "TooLarge" });
    test.from.publish("x", new Uint8Array(1));
    await until(() => test.heard.length === 2);
  },

  "probe() tells whether anybody is subscribed": async (network) => {
    await using test = await pair(network, "x");
    const tokens: string[] = [];
    test.from.watch((event) => event.type === "unheard" && tokens.push(event.token));
    test.from.subscribe("token.>", (subject) => assert.fail(`heard ${subject}`));
    test.from.probe("nobody", "token.1", new Uint8Array([1]));
    test.from.probe("x", "token.2", new Uint8Array([2]));
    await until(() => test.heard.length === 1 && tokens.length === 1);
    assert.deepEqual(tokens, ["token.1"]);
    assert.deepEqual([...test.heard[0]![1]], [2]);
  },

  "subscribe() hears its own connection too, from the moment it was called": async (network) => {
    await using test = await pair(network, "y");
    const own: string[] = [];
    test.from.subscribe("tandem.z", (subject) => own.push(subject));
    test.from.publish("tandem.z", new Uint8Array(1));
    await until(() => own.length === 1);
  },

  "subscribe() matches patterns, until it is left": async (network) => {
    const cases: [pattern: string, subject: string, matches: boolean][] = [
      ["x.y", "x.y", true],
      ["x.*", "x.y", true],
      ["x.*", "x.y.z", false],
      ["x.>", "x.y.z", true],
      ["x.>", "x", false],
      ["*.y", "x.z", false],
    ];
    await using test = await pair(network, "end");
    const heard = new Set<string>();
    const leave = cases.map(([pattern, subject], n) =>
      test.to.subscribe(pattern, (heardOn) => heardOn === subject && heard.add(`${n}`))
    );
    await test.to.flush();
    const publishAll = async () => {
      const before = test.heard.length;
      for (const [, subject] of cases) test.from.publish(subject, new Uint8Array(1));
      test.from.publish("end", new Uint8Array(1));
      await until(() => test.heard.length > before);
    };
    await publishAll();
    assert.deepEqual(cases.map((_, n) => heard.has(`${n}`)), cases.map(([, , matches]) => matches));
    heard.clear();
    for (const unsubscribe of leave) unsubscribe();
    await test.to.flush();
    await publishAll();
    assert.equal(heard.size, 0);
  },

  "close() lets arrive what was published before, and ends it": async (network) => {
    await using test = await pair(network, "tandem.>");
    for (let n = 0; n < 20; n++) test.from.publish("tandem.x", new Uint8Array(50_000));
    await test.from.close();
    assert.equal(await test.from.closed, undefined);
    assert.throws(() => test.from.publish("tandem.x", new Uint8Array(1)), { code: "NoRoute" });
    await until(() => test.heard.length === 20);
  },
};

for (const [name, open] of Object.entries(networks)) {
  Deno.test(`transport contract over ${name}`, async (t) => {
    await using network = await open();
    for (const [claim, check] of Object.entries(contract)) {
      await t.step(claim, () => check(network));
    }
  });
}
