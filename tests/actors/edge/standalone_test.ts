import { deepEqual, equal, match, ok, throws } from "node:assert/strict";
import { ConfigError } from "../../../actors/config/mod.ts";
import {
  type EdgeSettings,
  readSettings,
  type Standalone,
  standaloneEdge,
} from "../../../actors/edge/cluster/mod.ts";
import { ActorError, createMemoryNetwork, FakeClock, seededRng } from "../../../runtime/mod.ts";
import { type RouterNode, silent, startRouterNode, whole } from "./routers.ts";
import { chat, readChunks } from "./support.ts";

const settings: EdgeSettings = {
  nats: { servers: ["nats://unused"] },
  node: "edge:one",
  keys: {},
  origins: [],
  log: { level: "silent", format: "json" },
};

/** A cluster on a fake clock, and an edge that has not joined it yet. */
class Harness {
  readonly clock = new FakeClock();
  readonly network = createMemoryNetwork({ clock: this.clock, rng: seededRng(1) });
  readonly nodes: RouterNode[] = [];
  connections = 0;
  edge!: Standalone;
  /** Makes the next attempts to connect fail. */
  broken = false;
  close: () => Promise<void> = () => Promise.resolve();

  static async open(names: readonly string[], changes: Partial<EdgeSettings> = {}) {
    const harness = new Harness();
    for (const name of names) harness.join(name);
    const { clock, network } = harness;
    harness.edge = await standaloneEdge({
      settings: { ...settings, ...changes },
      connect: (node) => {
        if (harness.broken) return Promise.reject(new ActorError("NoRoute", "No server"));
        harness.connections++;
        const transport = network.connect(node);
        harness.close = () => transport.close();
        return Promise.resolve(transport);
      },
      clock,
      rng: seededRng(2),
      log: silent,
    });
    return harness;
  }

  join(name: string): RouterNode {
    const node = startRouterNode(name, this.network.connect(name), { clock: this.clock });
    this.nodes.push(node);
    return node;
  }

  async ask(fields: Record<string, unknown> = {}, headers: HeadersInit = {}, client = "127.0.0.1") {
    const url = "http://127.0.0.1/v1/chat/completions";
    const body = JSON.stringify(chat(fields));
    const answer = this.edge.fetch(new Request(url, { method: "POST", body, headers }), client);
    await this.clock.advance(3000);
    return await answer;
  }

  async [Symbol.asyncDispose]() {
    const closed = Promise.all([
      this.edge.close(),
      ...this.nodes.map((node) => node[Symbol.asyncDispose]()),
    ]);
    await this.clock.advance(60_000);
    await closed;
  }
}

Deno.test("standaloneEdge() joins the cluster at the first request, and once", async () => {
  await using harness = await Harness.open(["a", "b"]);
  equal((await harness.edge.fetch(new Request("http://127.0.0.1/healthz"))).status, 200);
  equal(harness.connections, 0);
  const answers = await Promise.all([harness.ask(), harness.ask({ stream: true })]);
  equal((await answers[0].json()).choices[0].message.content, whole);
  ok((await readChunks(answers[1])).length > 12);
  equal(harness.connections, 1);
  equal((await harness.ask()).status, 200);
  equal(harness.connections, 1);
  ok(harness.nodes.every(({ membership }) => membership.member("edge:one")));
});

Deno.test("standaloneEdge() answers 503 while there is no server, and joins when there is", async () => {
  await using harness = await Harness.open(["a"]);
  harness.broken = true;
  const refused = await harness.ask();
  deepEqual([refused.status, refused.headers.get("retry-after")], [503, "1"]);
  equal((await refused.json()).error.code, "unavailable");
  harness.broken = false;
  equal((await harness.ask()).status, 200);
  await harness.close();
  await harness.clock.settle();
  equal((await harness.ask()).status, 200);
  equal(harness.connections, 2);
});

Deno.test("standaloneEdge() answers 503 while no family is ready", async () => {
  await using harness = await Harness.open([]);
  const refused = await harness.ask();
  deepEqual([refused.status, refused.headers.get("retry-after")], [503, "1"]);
  const ready = await harness.edge.fetch(new Request("http://127.0.0.1/readyz"));
  deepEqual([ready.status, (await ready.json()).ready], [503, false]);
  harness.join("late");
  equal((await harness.ask()).status, 200);
  const unknown = await harness.ask({ model: "nobody" });
  equal(unknown.status, 404);
});

Deno.test("standaloneEdge() asks no router that a worker or an edge offers", async () => {
  await using harness = await Harness.open(["worker:w", "edge:e"]);
  equal((await harness.ask()).status, 503);
  const router = harness.join("router:r");
  equal((await harness.ask()).status, 200);
  equal(router.router.requests.length, 1);
});

Deno.test("standaloneEdge() goes on at another router when a node is lost", async () => {
  await using harness = await Harness.open(["a", "b"]);
  let lost = false;
  for (const { router, system } of harness.nodes) {
    router.before = (n) => {
      if (n === 4 && !lost) harness.network.partition(system.node);
      lost ||= n === 4;
    };
  }
  const response = await harness.ask();
  equal((await response.json()).choices[0].message.content, whole);
  deepEqual(
    harness.nodes.flatMap(({ router }) => router.requests).map(({ resume }) =>
      resume !== undefined
    ),
    [false, true],
  );
});

Deno.test("standaloneEdge() without keys answers this machine only", async () => {
  await using open = await Harness.open(["a"]);
  equal((await open.ask({}, {}, "192.0.2.1")).status, 403);
  await using closed = await Harness.open(["a"], { keys: { list: "sk-a" } });
  equal((await closed.ask({}, {}, "192.0.2.1")).status, 401);
  equal((await closed.ask({}, { authorization: "Bearer sk-a" }, "192.0.2.1")).status, 200);
});

Deno.test("close() lets requests finish, then leaves the cluster with a goodbye", async () => {
  await using harness = await Harness.open(["a"]);
  equal((await harness.ask()).status, 200);
  const [node] = harness.nodes;
  const events: string[] = [];
  node!.membership.on((event) => {
    if (event.type === "left") events.push(`${event.node} ${event.onPurpose}`);
  });
  const held = Promise.withResolvers<void>();
  node!.router.before = () => held.promise;
  const url = "http://127.0.0.1/v1/chat/completions";
  const body = JSON.stringify(chat());
  const running = harness.edge.fetch(new Request(url, { method: "POST", body }));
  await harness.clock.settle();
  const closed = harness.edge.close();
  await harness.clock.advance(1000);
  deepEqual(events, []);
  held.resolve();
  equal((await running).status, 200);
  await harness.clock.advance(1000);
  await closed;
  deepEqual(events, ["edge:one true"]);
});

Deno.test("readSettings() reads the environment and shows no value of it", () => {
  const read = (variables: Record<string, string>) => readSettings((name) => variables[name]);
  deepEqual(read({ TANDEM_NATS_URL: "nats://a, nats://b", TANDEM_NATS_NKEY: "SUA", OTHER: "x" }), {
    nats: {
      servers: ["nats://a", "nats://b"],
      connectTimeoutMs: 3000,
      drainMs: 500,
      nkeySeed: "SUA",
    },
    keys: {},
    origins: [],
    log: { level: "info", format: "json" },
  });
  const wrong: readonly (readonly [Record<string, string>, RegExp])[] = [
    [{}, /TANDEM_NATS_URL is required/],
    [{ TANDEM_NATS_URL: "nats://a", TANDEM_NODE: "s3cret/x" }, /TANDEM_NODE must be NAME or/],
    [{ TANDEM_NATS_URL: "nats://a", TANDEM_LOG_LEVEL: "s3cret" }, /TANDEM_LOG_LEVEL must be one/],
  ];
  for (const [variables, message] of wrong) {
    throws(() => read(variables), (error: Error) => {
      match(error.message, message);
      return error instanceof ConfigError && !error.message.includes("s3cret");
    });
  }
});
