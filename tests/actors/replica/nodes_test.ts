import assert from "node:assert/strict";
import fc from "fast-check";
import { type DeviceWorker, startDevice } from "../../../actors/node/device_thread.ts";
import { defineExpertShard } from "../../../actors/experts/mod.ts";
import { definePartition, Replica, stepCapacity } from "../../../actors/replica/mod.ts";
import type { ExpertShardProtocol, PartitionProtocol } from "../../../actors/replica_protocol.ts";
import {
  createStep,
  openDevice,
  openModel,
  parseModelSpec,
  type Range,
  type Step,
} from "../../../kernels/mod.ts";
import {
  createLogger,
  createMemoryNetwork,
  createSystem,
  seededRng,
  type System,
  systemClock,
} from "../../../runtime/mod.ts";
import { sharedTest } from "../../support/shared.ts";
import { prefixes, publishedIds } from "../node/support.ts";
import { greedyFrom, limits, type Spread, spread, type SpreadReplica } from "./spread.ts";

const log = createLogger({ level: "silent" });
const layers = (first: number, count: number): Range => ({ first, count });

/** Runs a body with a system that reaches nodes on a memory network, with the codec between them. */
async function withNodes(
  count: number,
  body: (system: System, places: string[]) => Promise<void>,
): Promise<void> {
  const device = await openDevice("cpu", 1);
  const kinds = [definePartition(device), defineExpertShard(device), Replica];
  const network = createMemoryNetwork({ clock: systemClock(), rng: seededRng(1) });
  const join = (node: string) =>
    createSystem({ node, kinds, log, transport: network.connect(node) });
  const system = join("client");
  const nodes = Array.from({ length: count }, (_, i) => join(`n${i}`));
  try {
    await body(system, nodes.map(({ node }) => `${node}/main`));
  } finally {
    for (const node of [...nodes, system]) await node.shutdown();
    device.close();
  }
}

/** Runs a body with a system that reaches Worker threads of its node. */
async function withThreads(
  count: number,
  body: (system: System, places: string[]) => Promise<void>,
): Promise<void> {
  const system = createSystem({ node: "local", log });
  const devices: DeviceWorker[] = [];
  try {
    for (let i = 0; i < count; i++) {
      devices.push(startDevice(system, { name: `d${i}`, kind: "cpu", threads: 1 }));
      await devices[i]!.thread.ready;
    }
    await body(system, devices.map(({ config }) => config.name));
  } finally {
    await system.shutdown();
    for (const device of devices) device.close();
  }
}

async function assertPublished(replica: SpreadReplica, dir: string): Promise<void> {
  const { prompt, ids } = publishedIds(dir);
  assert.deepEqual(await greedyFrom([replica], prompt, 120), ids.slice(0, 120));
  const cases = prefixes(dir, 10, 30);
  const answers = await Promise.all(cases.map(({ prompt }) => greedyFrom([replica], prompt, 30)));
  assert.deepEqual(answers, cases.map(({ next }) => next));
}

/** Uneven, with the tied embeddings at both ends. */
function unevenly(model: string, [a, b, c]: readonly string[]): Spread {
  return { model, partitions: [[a!, layers(0, 1)], [b!, layers(1, 3)], [c!, layers(4, 1)]] };
}

/** Two partitions, and a shard for each expert, on the places in turn. */
function inShards(model: string, places: readonly string[]): Spread {
  const at = (i: number) => places[i % places.length]!;
  return {
    model,
    partitions: [[at(0), layers(0, 2)], [at(1), layers(2, 3)]],
    shards: [3, 0, 2, 1].map((
      expert,
      i,
    ) => [at(2 + i), [{ layers: layers(0, 5), experts: [expert] }]]),
  };
}

/** Shards of some layers, most experts in several of them. */
function inCopies(model: string, [a, b, c, d, e]: readonly string[]): Spread {
  return {
    model,
    partitions: [[a!, layers(0, 4)], [b!, layers(4, 1)]],
    shards: [
      [c!, [
        { layers: layers(0, 2), experts: [3, 1, 0, 2] },
        { layers: layers(2, 3), experts: [2] },
      ]],
      [d!, [{ layers: layers(1, 4), experts: [0, 1, 2] }]],
      [e!, [{ layers: layers(1, 4), experts: [3, 0] }]],
    ],
  };
}

const dense = "models/stories260K";
const mixture = "models/stories260K-moe4";

for (const path of [dense, mixture]) {
  sharedTest(`${path} spread unevenly over nodes prints its published ids`, path, (dir) => {
    const folder = openModel(dir);
    assert(parseModelSpec(folder.config).tiedEmbeddings, "the last partition has the table");
    folder.close();
    return withNodes(3, async (system, places) => {
      await assertPublished(await spread(system, "r", unevenly(dir, places)), dir);
    });
  });
}

sharedTest(
  "experts on nodes of their own print the published ids",
  mixture,
  (dir) =>
    withNodes(6, async (system, places) => {
      await assertPublished(await spread(system, "r", inShards(dir, places)), dir);
    }),
);

sharedTest(
  "experts of some layers and in copies print the published ids",
  mixture,
  (dir) =>
    withNodes(5, async (system, places) => {
      await assertPublished(await spread(system, "r", inCopies(dir, places)), dir);
    }),
);

sharedTest(
  "threads print the published ids in every layout",
  mixture,
  (dir) =>
    withThreads(3, async (system, places) => {
      await assertPublished(await spread(system, "uneven", unevenly(dir, places)), dir);
      await assertPublished(await spread(system, "shards", inShards(dir, places)), dir);
    }),
);

sharedTest(
  "halves on the wire give nearly the same answers",
  mixture,
  (dir) =>
    withNodes(6, async (system, places) => {
      const { prompt, ids } = publishedIds(dir);
      const replica = await spread(system, "r", { ...inShards(dir, places), wire: "f16" });
      assert.deepEqual(await greedyFrom([replica], prompt, 20), ids.slice(0, 20));
    }),
);

sharedTest(
  "another replica goes on from the exact ids when a partition is lost",
  dense,
  (dir) =>
    withNodes(3, async (system, places) => {
      const second = await spread(system, "second", unevenly(dir, places.toReversed()));
      const { prompt, ids } = publishedIds(dir);
      for (const stage of [0, 1, 2]) {
        const first = await spread(system, `first-${stage}`, unevenly(dir, places));
        const lose = async (count: number) => {
          if (count === 15) await system.stop({ address: first.partitions[stage]! });
        };
        assert.deepEqual(await greedyFrom([first, second], prompt, 60, lose), ids.slice(0, 60));
      }
    }),
);

sharedTest(
  "a shard that is lost is replaced by its copy in mid-generation",
  mixture,
  (dir) =>
    withNodes(6, async (system, places) => {
      const single = inShards(dir, places);
      const copies = { ...single, shards: [...single.shards!, ...single.shards!.toReversed()] };
      const replica = await spread(system, "r", copies);
      const { prompt, ids } = publishedIds(dir);
      const lose = async (count: number) => {
        if (count === 15) await system.stop({ address: replica.shards[0]! });
        if (count === 30) await system.stop({ address: replica.shards[5]! });
      };
      assert.deepEqual(await greedyFrom([replica], prompt, 60, lose), ids.slice(0, 60));
    }),
);

sharedTest(
  "another replica goes on when a shard without a copy is lost",
  mixture,
  (dir) =>
    withNodes(6, async (system, places) => {
      const [first, second] = [
        await spread(system, "first", inShards(dir, places)),
        await spread(system, "second", inShards(dir, places.toReversed())),
      ];
      const { prompt, ids } = publishedIds(dir);
      const lose = async (count: number) => {
        if (count === 15) await system.stop({ address: first.shards[2]! });
      };
      const answers = Array.from(
        { length: 8 },
        () => greedyFrom([first, second], prompt, 60, lose),
      );
      for (const answer of await Promise.all(answers)) assert.deepEqual(answer, ids.slice(0, 60));
    }),
);

sharedTest(
  "a partition and a shard refuse what is invalid, and live on",
  mixture,
  (dir) =>
    withNodes(6, async (system, places) => {
      const replica = await spread(system, "r", inShards(dir, places));
      const { prompt, ids } = publishedIds(dir);
      const partition = system.ref<PartitionProtocol>(replica.partitions[0]!);
      const shard = system.ref<ExpertShardProtocol>(replica.shards[0]!);
      const layer = { tokens: 1, experts: new Int32Array(2), weights: new Float32Array(2) };
      const attempts = async (count: number) => {
        if (count !== 15) return;
        const step = {
          ...createStep(stepCapacity(limits)),
          tokens: 33,
          positions: new Int32Array(33),
        };
        const large = { ...step, ids: step.positions, sequences: step.positions };
        await assert.rejects(partition.ask("step", { id: "x", step: large }), {
          code: "AppError",
          message: "Cannot run more than 32 tokens: 33",
        });
        await assert.rejects(shard.ask("apply", { ...layer, layer: 9, x: new Float32Array(64) }), {
          code: "AppError",
          message: "Cannot compute experts of layer: 9",
        });
        await assert.rejects(shard.ask("apply", { ...layer, layer: 1, x: new Float32Array(63) }), {
          code: "AppError",
          message: "Cannot compute x of other than 64 values: 63",
        });
      };
      assert.deepEqual(await greedyFrom([replica], prompt, 60, attempts), ids.slice(0, 60));
    }),
);

sharedTest(
  "a partition refuses or survives any step that another node makes up",
  dense,
  (dir) =>
    withNodes(1, async (system, [place]) => {
      const replica = await spread(system, "r", {
        model: dir,
        partitions: [[place!, layers(0, 5)]],
      });
      const { prompt, ids } = publishedIds(dir);
      const partition = system.ref<PartitionProtocol>(replica.partitions[0]!);
      const sound = {
        ...createStep({ tokens: 2, samples: 1, sequences: 1, sequencePages: 2, history: 1 }),
        ...{ tokens: 2, samples: 1, positions: Int32Array.of(0, 1), indices: Int32Array.of(1) },
      };
      const value = fc.oneof(
        fc.integer({ min: -2, max: 40 }),
        fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }),
      );
      const field = fc.constantFrom(...Object.keys(sound), "rounds") as fc.Arbitrary<keyof Step>;
      const changes = fc.array(fc.tuple(field, fc.nat(15), value), { minLength: 1, maxLength: 3 });
      let answered = 0;
      await fc.assert(
        fc.asyncProperty(changes, async (changes) => {
          const step: Record<string, unknown> = structuredClone(sound);
          for (const [name, at, value] of changes) {
            const old = step[name];
            if (ArrayBuffer.isView(old)) {
              (old as Int32Array)[at % (old as Int32Array).length] = value;
            } else step[name] = value;
          }
          try {
            await partition.ask("step", { id: "x", step: step as unknown as Step });
            answered++;
          } catch (error) {
            assert.match((error as Error).message, /^Cannot /);
          }
        }),
        { numRuns: 500 },
      );
      assert(answered > 20, "some were sound");
      assert.deepEqual(await greedyFrom([replica], prompt, 60), ids.slice(0, 60));
    }),
);
