import assert from "node:assert/strict";
import type { ActorRef } from "../../../runtime/mod.ts";
import type { RouterProtocol } from "../../../actors/protocol.ts";
import type { ReplicaProtocol } from "../../../actors/replica_protocol.ts";
import type { TandemNode } from "../../../actors/node/mod.ts";
import { sharedTest } from "../../support/shared.ts";
import { greedyIds, prefixes, publishedIds, type TestLevel, withFamily } from "./support.ts";

type Body = (dir: string, router: ActorRef<RouterProtocol>, node: TandemNode) => Promise<void>;

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

const moe = "stories260K-moe4";

/** KV pages for two and a half whole texts, among twelve that want them. */
const shortCache = { context: 256, kvCache: 40 * 16 * 5 * 2 * 4 * 8 * 2 };

for (const device of ["cpu", "reference"] as const) {
  for (const model of ["stories260K", moe]) {
    const reproduces = (how: string, settings: Partial<TestLevel>, body: Body) =>
      sharedTest(
        `${model} on ${device} reproduces its published ids ${how}`,
        `models/${model}`,
        async (dir) => {
          const levels = [{ name: "one", model: dir, ...settings }];
          await withFamily(levels, (router, node) => body(dir, router, node), { device });
        },
      );

    reproduces("alone", {}, async (dir, router) => {
      const { prompt, ids } = publishedIds(dir);
      assert.deepEqual(await greedyIds(router, prompt, 200), ids);
    });
    reproduces("in a batch of 64 in chunks", {}, (dir, router) => assertBatch(router, dir, 64, 40));
    reproduces(
      "in two partitions",
      { partitions: 2 },
      (dir, router) => assertBatch(router, dir, 6, 40),
    );
    reproduces("after preemption", shortCache, async (dir, router, node) => {
      await assertBatch(router, dir, 12, 60);
      const [replica] = (await router.ask("status")).levels[0]!.replicas;
      const load = await node.system.ref<ReplicaProtocol>(replica!.address).ask("status");
      assert(load.preemptions > 0, "pages were short");
      assert.equal(load.pages[0], 0);
    });
    if (model !== moe) continue;
    reproduces(
      "with experts in other actors",
      { partitions: 2, expertShards: 3 },
      async (dir, router) => {
        const { prompt, ids } = publishedIds(dir);
        assert.deepEqual(await greedyIds(router, prompt, 100), ids.slice(0, 100));
        await assertBatch(router, dir, 8, 30);
      },
    );
  }
}
