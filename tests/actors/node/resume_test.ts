import assert from "node:assert/strict";
import { collectAnswer } from "../../../actors/node/mod.ts";
import type { LevelSummary, ReplicaSummary, RouterProtocol } from "../../../actors/protocol.ts";
import type { PartitionProtocol, ReplicaProtocol } from "../../../actors/replica_protocol.ts";
import { Level, Router } from "../../../actors/router/mod.ts";
import type { ActorRef } from "../../../runtime/mod.ts";
import { sharedTest } from "../../support/shared.ts";
import { greedyIds, publishedIds, withFamily } from "./support.ts";

const path = "models/stories260K";

sharedTest(
  "a generation goes on elsewhere when its replica is killed in mid-stream",
  path,
  async (dir) => {
    await withFamily([{ name: "one", model: dir, replicas: 3 }], async (router, node) => {
      const { prompt, ids } = publishedIds(dir);
      const whole = await greedyIds(router, prompt, 400);
      assert.deepEqual(whole.slice(0, ids.length), ids);
      const killed: string[] = [];
      const kill = async (count: number) => {
        if (count < 5 + 40 * killed.length || killed.length === 2) return;
        const busy = await busyReplica(router);
        if (busy === undefined) return;
        killed.push(busy);
        await node.system.stop(node.system.ref<ReplicaProtocol>(busy));
      };
      assert.deepEqual(await greedyIds(router, prompt, 400, kill), whole);
      assert.equal(new Set(killed).size, 2, "two replicas were killed while they generated");
    });
  },
);

sharedTest("concurrent generations lose nothing when a replica is killed", path, async (dir) => {
  await withFamily([{ name: "one", model: dir, replicas: 2 }], async (router, node) => {
    const { prompt, ids } = publishedIds(dir);
    let isKilled = false;
    const kill = async (count: number) => {
      if (isKilled || count < 30) return;
      isKilled = true;
      const [first] = (await router.ask("status")).levels[0]!.replicas;
      await node.system.stop(node.system.ref<ReplicaProtocol>(first!.address));
    };
    const answers = await Promise.all(
      Array.from({ length: 8 }, () => greedyIds(router, prompt, 120, kill)),
    );
    for (const answer of answers) assert.deepEqual(answer, ids.slice(0, 120));
    assert(isKilled);
  });
});

sharedTest(
  "a generation goes on elsewhere when a partition under it is lost",
  path,
  async (dir) => {
    await withFamily([{ name: "one", model: dir, replicas: 2 }], async (router, node) => {
      const { prompt, ids } = publishedIds(dir);
      let isLost = false;
      const lose = async () => {
        const busy = isLost ? undefined : await busyReplica(router);
        if (busy === undefined) return;
        isLost = true;
        const partition = busy.replace("/replica/", "/partition/") + "-0";
        await node.system.stop(node.system.ref<PartitionProtocol>(partition));
      };
      assert.deepEqual(await greedyIds(router, prompt, 120, lose), ids.slice(0, 120));
      assert(isLost);
    });
  },
);

sharedTest("a generation outlives its only replica: another takes its place", path, async (dir) => {
  await withFamily([{ name: "one", model: dir }], async (router, node) => {
    const { prompt, ids } = publishedIds(dir);
    const stopped: string[] = [];
    const stop = async (count: number) => {
      if (count !== 20 && count !== 60) return;
      const { address: replica } = await replicaOf(
        router,
        ({ address }) => !stopped.includes(address),
      );
      const address = count === 20 ? replica : replica.replace("/replica/", "/partition/") + "-0";
      stopped.push(replica);
      await node.system.stop(node.system.ref(address));
    };
    assert.deepEqual(await greedyIds(router, prompt, 120, stop), ids.slice(0, 120));
    assert.equal(new Set(stopped).size, 2);
    assert.ok(await replicaOf(router, ({ address }) => !stopped.includes(address)));
  });
});

/** A replica that generates at the moment, if any does. */
async function busyReplica(router: ActorRef<RouterProtocol>): Promise<string | undefined> {
  const { replicas } = (await router.ask("status")).levels[0]!;
  return replicas.find(({ running }) => running > 0)?.address;
}

/** A replica of which something is so, once there is one. */
async function replicaOf(
  router: ActorRef<RouterProtocol>,
  condition: (replica: ReplicaSummary) => boolean = () => true,
): Promise<ReplicaSummary> {
  for (;;) {
    const found = (await router.ask("status")).levels[0]!.replicas.find(condition);
    if (found) return found;
    await new Promise((next) => setTimeout(next, 5));
  }
}

sharedTest("a cascade asks the next level when one has no replica", path, async (dir) => {
  await withFamily([{ name: "one", model: dir }], async (_router, node) => {
    const [{ replicas: [replica] }] = (await node.routers.get("family")!.ask("status")).levels as [
      LevelSummary,
    ];
    const [model] = node.models.get("family")!;
    const { system } = node;
    const [low, high] = ["low", "high"].map((name) =>
      new Level({ ...model!, name }, {
        system,
        threshold: name === "low" ? -100 : null,
        used: true,
      })
    );
    high!.update([{ address: replica!.address, draining: false }]);
    const router = system.spawn(Router, { name: "two", levels: [low!, high!], q: 0 });
    const { route } = await collectAnswer(router, {
      id: "x",
      prompt: { kind: "text", text: "Once" },
      maxTokens: 5,
      stop: [],
      sampling: {},
    });
    assert.deepEqual(route.path.map(({ level, outcome }) => [level, outcome]), [
      ["low", "escalated"],
      ["high", "accepted"],
    ]);
  });
});

sharedTest("a cancelled generation leaves the batch and frees its pages", path, async (dir) => {
  await withFamily([{ name: "one", model: dir }], async (router) => {
    const { prompt } = publishedIds(dir);
    const request = {
      id: "cancelled",
      prompt: { kind: "ids", ids: prompt },
      maxTokens: 400,
      stop: [],
      sampling: { temperature: 0 },
    } as const;
    for await (const event of router.stream("generate", request)) {
      if (event.type === "text") break;
    }
    let load = (await router.ask("status")).levels[0]!.replicas[0]!;
    for (let tries = 0; load.running > 0 && tries < 100; tries++) {
      load = (await router.ask("status")).levels[0]!.replicas[0]!;
    }
    assert.equal(load.running, 0);
    assert.equal(load.pages[0], 0);
  });
});
