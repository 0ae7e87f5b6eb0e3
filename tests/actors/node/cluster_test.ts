import assert from "node:assert/strict";
import { parseConfig } from "../../../actors/config/mod.ts";
import { startNode, type TandemNode } from "../../../actors/node/mod.ts";
import type { RouterProtocol } from "../../../actors/protocol.ts";
import {
  type ActorRef,
  createLogger,
  createMemoryNetwork,
  createMemoryStore,
  createSystem,
  Membership,
  type MemoryNetwork,
  seededRng,
  systemClock,
} from "../../../runtime/mod.ts";
import { sharedTest } from "../../support/shared.ts";
import { greedyIds, publishedIds, type TestLevel } from "./support.ts";

/** Nodes of one process that share a network and a store in memory. */
class Cluster {
  readonly network: MemoryNetwork = createMemoryNetwork({
    clock: systemClock(),
    rng: seededRng(1),
  });
  /** Lines of the nodes' logs. */
  readonly log: string[] = [];
  readonly #store = createMemoryStore();
  readonly #nodes: TandemNode[] = [];

  async join(node: string, levels: readonly TestLevel[] = [], version?: string) {
    const families = levels.length > 0 ? [{ name: "family", levels }] : [];
    const config = parseConfig({ devices: [{ name: "cpu", threads: 1 }], families });
    const joined = await startNode(config, {
      log: createLogger({ level: "debug", write: (line) => void this.log.push(line) }),
      node,
      transport: this.network.connect(node),
      store: this.#store,
      ...(version !== undefined && { version }),
    });
    this.#nodes.push(joined);
    return joined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const node of this.#nodes) await node.close();
  }
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((next) => setTimeout(next, 10));
}

/** Replicas that a node's router sees, by the nodes that they lie on. */
function replicas(node: TandemNode): string[] {
  return node.status().nodes.flatMap(({ parts }) => parts).flatMap(({ placement }) =>
    placement ? [placement.partitions.map((part) => part.node).join("")] : []
  ).sort();
}

function routerOf(node: TandemNode): ActorRef<RouterProtocol> {
  return node.directory.routersOf("family")[0]!;
}

sharedTest(
  "nodes that bring nothing are given work, and route",
  "models/stories260K",
  async (dir) => {
    await using cluster = new Cluster();
    const a = await cluster.join("a", [{ name: "one", model: dir }]);
    const [b, c] = [await cluster.join("b"), await cluster.join("c", [], "9.9.9")];
    await until(() => replicas(a).join() === "a,b,c");
    const { prompt, ids } = publishedIds(dir);
    assert.deepEqual(await greedyIds(c.routers.get("family")!, prompt, 60), ids.slice(0, 60));
    assert.deepEqual(b.directory.routersOf("family").length, 3);
    const status = b.status();
    assert.deepEqual(status.nodes.map(({ node }) => node).sort(), ["a", "b", "c"]);
    assert.equal(status.nodes.find(({ node }) => node === "c")?.version, "9.9.9");
    assert.ok(status.leader);
    assert.ok(status.nodes.every(({ devices }) => devices[0]!.speed > 1e6));
  },
);

sharedTest(
  "a replica over three nodes survives the loss of one",
  "models/stories260K",
  async (dir) => {
    await using cluster = new Cluster();
    const partitions = [{ layers: 2, node: "c" }, { layers: 2, node: "b" }, {
      layers: 1,
      node: "a",
    }];
    const levels = [{ name: "one", model: dir, replicas: 1, partitions }];
    const a = await cluster.join("a", levels);
    await cluster.join("b");
    await cluster.join("c");
    await until(() => replicas(a).join() === "cba");
    const { prompt, ids } = publishedIds(dir);
    let heal = () => {};
    const cut = (count: number) => {
      if (count === 60) heal = cluster.network.partition("c");
    };
    assert.deepEqual(await greedyIds(routerOf(a), prompt, 200, cut), ids);
    heal();
    await until(() => replicas(a).join() === "cba");
    assert.deepEqual(await greedyIds(routerOf(a), prompt, 60), ids.slice(0, 60));
  },
);

sharedTest("a draining node moves its work away first", "models/stories260K", async (dir) => {
  await using cluster = new Cluster();
  const a = await cluster.join("a", [{ name: "one", model: dir, replicas: 1, nodes: ["b", "c"] }]);
  const [b] = [await cluster.join("b"), await cluster.join("c")];
  await until(() => replicas(a).length === 1);
  assert.equal(replicas(a)[0], "b");
  const { prompt, ids } = publishedIds(dir);
  const draining = b!.drain(20_000);
  const read = async () => {
    while (replicas(a).join() !== "c") {
      assert.deepEqual(await greedyIds(routerOf(a), prompt, 200), ids);
    }
  };
  await Promise.all(Array.from({ length: 8 }, read));
  await draining;
  const losses = cluster.log.filter((line) => line.includes("Lost a replica"));
  assert.ok(losses.length > 0 && losses.every((line) => line.includes("code=Moved")), `${losses}`);
});

sharedTest(
  "a request waits for as long as its replica is brought up",
  "models/stories260K",
  async (dir) => {
    await using cluster = new Cluster();
    const a = await cluster.join("a", [{ name: "one", model: dir, replicas: 1, nodes: ["b"] }]);
    const { prompt, ids } = publishedIds(dir);
    const hopeless = greedyIds(routerOf(a), prompt, 60);
    await assert.rejects(hopeless, { code: "NoRoute", retryAfterMs: 5000 });
    const [, read] = await Promise.all([cluster.join("b"), greedyIds(routerOf(a), prompt, 60)]);
    assert.deepEqual(read, ids.slice(0, 60));
  },
);

sharedTest(
  "a family that is removed ends everywhere, until it is brought anew",
  "models/stories260K",
  async (dir) => {
    await using cluster = new Cluster();
    const levels = [{ name: "one", model: dir }];
    const [a, b] = [await cluster.join("a", levels), await cluster.join("b")];
    await until(() => replicas(a).join() === "a,b" && b.routers.size === 1);
    const [desk] = b.findDesks();
    await desk!.ask("removeFamily", "family");
    await until(() => replicas(a).length === 0 && a.directory.families.length === 0);
    await assert.rejects(desk!.ask("removeFamily", "family"), /Cannot find the family: family/);
    const c = await cluster.join("c", levels);
    await until(() => replicas(c).join() === "a,b,c");
  },
);

sharedTest(
  "a node that speaks another protocol is refused, and says so",
  "models/stories260K",
  async () => {
    await using cluster = new Cluster();
    const transport = cluster.network.connect("future");
    const system = createSystem({
      node: "future",
      transport,
      log: createLogger({ level: "silent" }),
    });
    const membership = new Membership({
      ...{ system, transport, version: "9.0.0", protocol: { least: 7, most: 9 } },
      describe: () => ({ offers: [] }),
    });
    try {
      await assert.rejects(cluster.join("a"), {
        code: "Denied",
        message:
          /^Cannot join .*it speaks protocols 7 to 9 \(version 9\.0\.0\), this node .*: future$/,
      });
      assert.match(membership.refused.get("a") ?? "", /this node 7 to 9/);
    } finally {
      membership.close();
      await system.shutdown();
    }
  },
);

sharedTest(
  "what cannot be placed is said by all, and done once it can be",
  "models/stories260K",
  async (dir) => {
    await using cluster = new Cluster();
    const a = await cluster.join("a", [{ name: "one", model: dir, replicas: 1, nodes: ["b"] }]);
    await until(() =>
      a.status().nodes.some(({ problems }) => problems?.[0]?.includes("family/one"))
    );
    const b = await cluster.join("b");
    await until(() => replicas(b).join() === "b");
    await until(() => b.status().nodes.every(({ problems }) => problems === undefined));
  },
);

sharedTest(
  "a node that is back before anybody missed it gets its work anew",
  "models/stories260K",
  async (dir) => {
    await using cluster = new Cluster();
    const a = await cluster.join("a", [{ name: "one", model: dir, replicas: 1, nodes: ["b"] }]);
    await cluster.join("b");
    await until(() => replicas(a).join() === "b");
    const [before] = a.status().nodes.flatMap(({ parts }) => parts);
    const again = await cluster.join("b");
    await until(() => again.status().nodes[0]!.parts.length > 0);
    assert.notDeepEqual(again.status().nodes[0]!.parts[0], before);
    const { prompt, ids } = publishedIds(dir);
    assert.deepEqual(await greedyIds(routerOf(a), prompt, 60), ids.slice(0, 60));
  },
);
