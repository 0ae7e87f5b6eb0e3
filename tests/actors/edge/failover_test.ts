import { deepEqual, equal, ok } from "node:assert/strict";
import { parseConfig } from "../../../actors/config/mod.ts";
import { createEdge, type Edge } from "../../../actors/edge/mod.ts";
import type { RouterProtocol } from "../../../actors/protocol.ts";
import {
  ActorError,
  type ActorRef,
  createMemoryNetwork,
  createMetrics,
  createSystem,
  defineActor,
  FakeClock,
  seededRng,
  type System,
} from "../../../runtime/mod.ts";
import { CountingRouter, silent, whole, words } from "./routers.ts";
import { chat, createScript, type Json, readChunks } from "./support.ts";

/** A counting router on a node of its own. */
class Node {
  readonly router = new CountingRouter();
  readonly system: System;

  constructor(readonly name: string, { clock, network }: Cluster) {
    const transport = network.connect(name);
    this.system = createSystem({ node: name, clock, transport, log: silent, graceMs: 0 });
    this.system.spawn(this.router.definition, undefined, { id: "zoo" });
  }
}

class Cluster {
  readonly clock = new FakeClock();
  readonly network = createMemoryNetwork({ clock: this.clock, rng: seededRng(1) });
  readonly metrics = createMetrics();
  readonly nodes: Node[];
  readonly edge: Edge;
  readonly #system: System;
  #up: readonly Node[];

  constructor(names: readonly string[]) {
    this.nodes = names.map((name) => new Node(name, this));
    this.#up = [...this.nodes];
    const { clock, metrics } = this;
    this.#system = createSystem({
      node: "edge",
      clock,
      transport: this.network.connect("edge"),
      log: silent,
    });
    this.edge = createEdge({
      routers: {
        families: ["zoo"],
        routersOf: () => this.#up.map(({ name }) => this.#router(name)),
      },
      limits: parseConfig({}).limits,
      keys: null,
      metrics,
      log: silent,
      clock,
      rng: seededRng(2),
    });
  }

  #router(name: string): ActorRef<RouterProtocol> {
    return this.#system.ref(`${name}/main/router/zoo`);
  }

  /** Cuts a node off, and tells the edge as its membership would. */
  lose(node: Node): void {
    this.network.partition(node.name);
    this.#up = this.#up.filter((other) => other !== node);
    this.#system.nodeDown(node.name, "test");
  }

  join(node: Node): void {
    this.nodes.push(node);
    this.#up = [...this.#up, node];
  }

  post(fields: Readonly<Record<string, unknown>> = {}): Promise<Response> {
    const body = JSON.stringify(chat(fields));
    const url = "http://127.0.0.1/v1/chat/completions";
    return this.edge.fetch(new Request(url, { method: "POST", body }));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const systems = [this.#system, ...this.nodes.map(({ system }) => system)];
    const stopped = Promise.all(systems.map((system) => system.shutdown()));
    await this.clock.advance(60_000);
    await stopped;
  }
}

function textOf(chunks: readonly Json[]): string {
  return chunks.map(({ choices }) => choices[0]?.delta?.content ?? "").join("");
}

Deno.test("a stream goes on without gap or repeat when its router's node is lost, at any word", async () => {
  for (let at = 0; at < words.length; at++) {
    await using cluster = new Cluster(["a", "b", "c"]);
    const lost = new Set<Node>();
    for (const node of cluster.nodes) {
      node.router.before = (n) => {
        if (n !== at || lost.size > 1) return;
        lost.add(node);
        cluster.lose(node);
      };
    }
    const response = await cluster.post({ stream: true });
    const chunks = await readChunks(response);
    equal(textOf(chunks), whole, `lost at word ${at}`);
    equal(lost.size, 2);
    const asked = cluster.nodes.flatMap(({ router }) => router.requests);
    equal(asked.length, 3);
    ok(asked.every(({ sampling }) => sampling.seed === asked[0]!.sampling.seed));
    // What was on its way when the node was cut off is lost with it.
    const resumed = asked.map(({ resume }) => resume?.ids.length ?? 0);
    ok(resumed.every((count) => count <= at), resumed.join());
    ok(cluster.metrics.render().includes('tandem_failovers_total{family="zoo"} 2'));
  }
});

Deno.test("what is not streamed goes on as well, every choice by itself", async () => {
  await using cluster = new Cluster(["a", "b"]);
  const [a] = cluster.nodes;
  a!.router.before = (n) => n === 5 ? cluster.lose(a!) : undefined;
  const { choices } = await (await cluster.post({ n: 6 })).json();
  deepEqual(choices.map(({ message }: Json) => message.content), Array(6).fill(whole));
});

Deno.test("an answer that lost its only router waits for one, and goes on", async () => {
  await using cluster = new Cluster(["a", "b"]);
  const [a, b] = cluster.nodes;
  cluster.lose(b!);
  let lost = false;
  a!.router.before = (n) => {
    if (n !== 4 || lost) return;
    lost = true;
    cluster.lose(a!);
  };
  const response = cluster.post();
  await cluster.clock.advance(3000);
  equal(cluster.edge.inFlight, 1);
  const fresh = new Node("d", cluster);
  cluster.join(fresh);
  await cluster.clock.advance(1000);
  equal((await (await response).json()).choices[0].message.content, whole);
  ok(fresh.router.requests[0]!.resume!.ids.length > 0);
});

Deno.test("an answer that finds no router again fails after a while with 503", async () => {
  await using cluster = new Cluster(["a"]);
  const [a] = cluster.nodes;
  a!.router.before = (n) => n === 4 ? cluster.lose(a!) : undefined;
  const response = cluster.post();
  await cluster.clock.advance(35_000);
  equal((await response).status, 503);
  const fresh = cluster.post();
  await cluster.clock.advance(35_000);
  const { status, headers } = await fresh;
  deepEqual([status, headers.get("retry-after")], [503, "1"]);
});

Deno.test("a request waits for a router while there is none of a family that was there", async () => {
  await using cluster = new Cluster(["a"]);
  equal((await cluster.post()).status, 200);
  cluster.lose(cluster.nodes[0]!);
  await cluster.clock.advance(3000);
  const response = cluster.post();
  await cluster.clock.advance(3000);
  equal(cluster.edge.inFlight, 1);
  cluster.join(new Node("b", cluster));
  await cluster.clock.advance(1000);
  equal((await (await response).json()).choices[0].message.content, whole);
});

Deno.test("a router that would begin anew is left for another", async () => {
  await using cluster = new Cluster(["a", "b", "c"]);
  const ignorant = defineActor<RouterProtocol, null>({
    kind: "router",
    start: () => null,
    receive: {
      async *generate() {
        const begin = {
          level: "giant",
          model: "sha256:giant",
          path: [],
          promptTokens: 5,
          resumed: 0,
          load: 0,
        };
        yield await Promise.resolve({ type: "begin", ...begin } as const);
        yield { type: "text", text: "from the start", tokens: [] };
      },
      status: () => createScript().status,
    },
  });
  let lost = false;
  for (const node of cluster.nodes) {
    node.router.before = async (n) => {
      if (n !== 3 || lost) return;
      lost = true;
      const old = cluster.nodes.find((other) => other !== node)!;
      await old.system.stop({ address: `${old.name}/main/router/zoo` });
      old.system.spawn(ignorant, undefined, { id: "zoo" });
      cluster.lose(node);
    };
  }
  equal(textOf(await readChunks(await cluster.post({ stream: true }))), whole);
});

Deno.test("the least loaded router is asked, by what each said last", async () => {
  await using cluster = new Cluster(["a", "b", "c"]);
  const [a, b, c] = cluster.nodes;
  [a!.router.load, b!.router.load, c!.router.load] = [7, 2, 9];
  await cluster.edge.fetch(new Request("http://127.0.0.1/readyz"));
  await cluster.post();
  deepEqual(cluster.nodes.map(({ router }) => router.requests.length), [0, 1, 0]);
  const held = Promise.withResolvers<void>();
  b!.router.before = () => held.promise;
  const running = Array.from({ length: 9 }, () => cluster.post());
  await cluster.clock.settle();
  const counts = cluster.nodes.map(({ router }) => router.requests.length);
  ok(counts[1]! > counts[0]! && counts[0]! > counts[2]!, counts.join());
  held.resolve();
  await Promise.all(running);
});

Deno.test("a router that refuses is left for another, and all refusals together are a 429", async () => {
  await using cluster = new Cluster(["a", "b"]);
  const [a, b] = cluster.nodes;
  const refuse = () => {
    throw new ActorError("Overloaded", "x", { retryAfterMs: 2000 });
  };
  a!.router.before = refuse;
  const answers = await Promise.all(Array.from({ length: 4 }, () => cluster.post()));
  deepEqual(answers.map(({ status }) => status), [200, 200, 200, 200]);
  equal(b!.router.requests.length, 4);
  b!.router.before = refuse;
  // An answer that has begun is patient with refusals.
  const refused = cluster.post();
  await cluster.clock.advance(35_000);
  deepEqual([(await refused).status, (await refused).headers.get("retry-after")], [429, "2"]);
});
