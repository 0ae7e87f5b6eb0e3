import assert from "node:assert/strict";
import type { ActorRef } from "../../../runtime/mod.ts";
import type { ReplicaProtocol, RouterProtocol } from "../../../actors/protocol.ts";
import { sharedTest } from "../../support/shared.ts";
import { greedyIds, prefixes, publishedIds, type TestLevel, withFamily } from "./support.ts";

async function assertBatch(
  router: ActorRef<RouterProtocol>,
  dir: string,
  count: number,
  tokens: number,
) {
  const cases = prefixes(dir, count, tokens);
  const answers = await Promise.all(cases.map(({ prompt }) => greedyIds(router, prompt, tokens)));
  assert.deepEqual(answers, cases.map(({ next }) => next));
}

for (const model of ["stories260K", "stories260K-moe4"]) {
  const path = `models/${model}`;
  const level = (
    dir: string,
    settings: Partial<TestLevel> = {},
  ) => [{ name: "one", model: dir, ...settings }];

  for (const device of ["cpu", "reference"] as const) {
    sharedTest(
      `${model} on ${device} reproduces its published ids through a router`,
      path,
      async (dir) => {
        await withFamily(level(dir), async (router) => {
          const { prompt, ids } = publishedIds(dir);
          assert.deepEqual(await greedyIds(router, prompt, 200), ids);
        }, { device });
      },
    );

    sharedTest(
      `${model} on ${device} reproduces them in a batch of 32 in chunks`,
      path,
      async (dir) => {
        await withFamily(level(dir), (router) => assertBatch(router, dir, 32, 40), { device });
      },
    );
  }

  sharedTest(`${model} reproduces them after preemption`, path, async (dir) => {
    await withFamily(
      level(dir, { context: 256, kvCache: 40 * 16 * 5 * 2 * 4 * 8 * 4 }),
      async (router, node) => {
        await assertBatch(router, dir, 12, 60);
        const [replica] = (await router.ask("status")).levels[0]!.replicas;
        const load = await node.system.ref<ReplicaProtocol>(
          replica!.address,
        ).ask("status");
        assert(load.preemptions > 0, "pages were short");
        assert.equal(load.pages[0], 0);
      },
    );
  });

  sharedTest(`${model} reproduces them in two partitions`, path, async (dir) => {
    await withFamily(level(dir, { partitions: 2 }), (router) => assertBatch(router, dir, 6, 40));
  });
}

sharedTest(
  "stories260K-moe4 reproduces them with experts in other actors",
  "models/stories260K-moe4",
  async (dir) => {
    const levels = [{ name: "one", model: dir, partitions: 2, expertShards: 3 }];
    await withFamily(levels, async (router) => {
      const { prompt, ids } = publishedIds(dir);
      assert.deepEqual(await greedyIds(router, prompt, 100), ids.slice(0, 100));
      await assertBatch(router, dir, 8, 30);
    });
  },
);
