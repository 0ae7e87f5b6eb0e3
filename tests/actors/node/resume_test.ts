import assert from "node:assert/strict";
import type { PartitionProtocol, ReplicaProtocol } from "../../../actors/replica_protocol.ts";
import { collectAnswer } from "../../../actors/node/mod.ts";
import { ActorError } from "../../../runtime/mod.ts";
import { sharedTest } from "../../support/shared.ts";
import { greedyIds, publishedIds, withFamily } from "./support.ts";

const path = "models/stories260K";

sharedTest(
  "a generation goes on elsewhere when its replica is killed in mid-stream",
  path,
  async (dir) => {
    await withFamily([{ name: "one", model: dir, replicas: 3 }], async (router, node) => {
      const { prompt, ids } = publishedIds(dir);
      const killed: string[] = [];
      const kill = async (count: number) => {
        if (count !== 20 && count !== 90) return;
        const { replicas } = (await router.ask("status")).levels[0]!;
        const busy = replicas.find(({ alive, running }) => alive && running > 0)!;
        killed.push(busy.address);
        await node.system.stop(node.system.ref<ReplicaProtocol>(busy.address));
      };
      assert.deepEqual(await greedyIds(router, prompt, 200, kill), ids);
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
      const lose = async (count: number) => {
        if (count !== 20) return;
        const { replicas } = (await router.ask("status")).levels[0]!;
        const busy = replicas.find(({ running }) => running > 0)!.address;
        const partition = busy.replace("/replica/", "/partition/") + "-0";
        await node.system.stop(node.system.ref<PartitionProtocol>(partition));
      };
      assert.deepEqual(await greedyIds(router, prompt, 120, lose), ids.slice(0, 120));
    });
  },
);

sharedTest("a replica that lost its partition for good is deployed anew", path, async (dir) => {
  await withFamily([{ name: "one", model: dir }], async (router, node) => {
    const { prompt, ids } = publishedIds(dir);
    const { replicas } = (await router.ask("status")).levels[0]!;
    const partition = replicas[0]!.address.replace("/replica/", "/partition/") + "-0";
    const gone = new Promise((resolve) => node.system.watch(replicas[0]!, resolve));
    await node.system.stop(node.system.ref<PartitionProtocol>(partition));
    await assert.rejects(greedyIds(router, prompt, 20), ActorError);
    await gone;
    while (!(await router.ask("status")).ready) await new Promise((next) => setTimeout(next, 10));
    assert.deepEqual(await greedyIds(router, prompt, 60), ids.slice(0, 60));
  });
});

sharedTest("a cascade asks the next level when one has no replica left", path, async (dir) => {
  const calibration = await Deno.makeTempFile();
  try {
    const level = (name: string) => ({ name, model: dir });
    await withFamily([level("low"), level("high")], async (_router, node) => {
      const [low, high] = node.models.get("family")!;
      await Deno.writeTextFile(
        calibration,
        JSON.stringify({
          version: 1,
          family: "family",
          signal: { kind: "quantile", q: 0 },
          levels: [
            { name: "low", model: low!.hash, threshold: -100, used: true },
            { name: "high", model: high!.hash, threshold: null, used: true },
          ],
          fit: { items: 1, tolerance: 0, accuracy: {}, visits: {}, cost: { cascade: 1, last: 1 } },
        }),
      );
    });
    await withFamily([level("low"), level("high")], async (router, node) => {
      const request = {
        id: "x",
        prompt: { kind: "text", text: "Once" },
        maxTokens: 5,
        stop: [],
        sampling: {},
      } as const;
      assert.equal((await collectAnswer(router, request)).route.level, "low");
      const [lower] = (await router.ask("status")).levels;
      await node.system.stop(lower!.replicas[0]!);
      const { route } = await collectAnswer(router, request);
      assert.deepEqual(route.path.map(({ level, outcome }) => [level, outcome]), [
        ["low", "escalated"],
        ["high", "accepted"],
      ]);
    }, { calibration });
  } finally {
    await Deno.remove(calibration);
  }
});

sharedTest("a generation fails with one clear error when no replica is left", path, async (dir) => {
  await withFamily([{ name: "one", model: dir }], async (router, node) => {
    const { prompt } = publishedIds(dir);
    const kill = async (count: number) => {
      if (count !== 20) return;
      const [only] = (await router.ask("status")).levels[0]!.replicas;
      await node.system.stop(node.system.ref<ReplicaProtocol>(only!.address));
    };
    await assert.rejects(greedyIds(router, prompt, 200, kill), (error: unknown) => {
      assert(error instanceof ActorError);
      assert.equal(error.code, "NoRoute");
      return true;
    });
    assert.equal((await router.ask("status")).ready, false);
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
