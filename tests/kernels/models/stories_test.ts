import assert from "node:assert/strict";
import { openModelFolder } from "../../../kernels/formats/mod.ts";
import {
  checkpointBytes,
  type ExpertRequest,
  ExpertShard,
  ModelPartition,
  parseModelSpec,
  type PartitionOptions,
} from "../../../kernels/models/mod.ts";
import { createReferenceBackend } from "../../../kernels/reference/mod.ts";
import { sharedTest } from "../../support/shared.ts";
import { greedy, testCapacity } from "./greedy.ts";

const base = { capacity: testCapacity, pages: 40, pageSize: 16 } as const;

function expected(dir: string): { prompt_ids: number[]; ids: number[] } {
  return JSON.parse(Deno.readTextFileSync(`${dir}/expected_greedy.json`));
}

function load(dir: string, options: Partial<PartitionOptions> = {}) {
  const folder = openModelFolder(dir);
  const spec = parseModelSpec(folder.config);
  const layers = { first: 0, count: spec.layers };
  try {
    return ModelPartition.load(createReferenceBackend(), spec, folder.weights, {
      ...base,
      layers,
      ...options,
    });
  } finally {
    folder.close();
  }
}

for (const model of ["stories260K", "stories260K-moe4"]) {
  sharedTest(
    `reference reproduces the published ids of ${model}`,
    `models/${model}`,
    async (dir) => {
      const { prompt_ids, ids } = expected(dir);
      assert.deepEqual(await greedy([load(dir)], prompt_ids, ids.length), ids);
    },
  );

  sharedTest(
    `reference agrees with chunked prefill of ${model}`,
    `models/${model}`,
    async (dir) => {
      const { prompt_ids, ids } = expected(dir);
      const prompt = [...prompt_ids, ...ids.slice(0, 60)];
      assert.deepEqual(await greedy([load(dir)], prompt, 40, 7), ids.slice(60, 100));
    },
  );

  sharedTest(`two partitions of ${model} agree with one`, `models/${model}`, async (dir) => {
    const { prompt_ids, ids } = expected(dir);
    const halves = [
      load(dir, { layers: { first: 0, count: 2 } }),
      load(dir, { layers: { first: 2, count: 3 } }),
    ];
    assert.deepEqual(await greedy(halves, prompt_ids, 40), ids.slice(0, 40));
  });
}

sharedTest(
  "ExpertShard computes what a partition leaves out",
  "models/stories260K-moe4",
  async (dir) => {
    const { prompt_ids, ids } = expected(dir);
    const folder = openModelFolder(dir);
    const spec = parseModelSpec(folder.config);
    const shards = [1, 3].map((first) =>
      new ExpertShard(createReferenceBackend(), spec, folder.weights, {
        layers: { first: 0, count: spec.layers },
        experts: { first, count: first === 1 ? 2 : 1 },
        tokens: testCapacity.tokens,
      })
    );
    const remoteExperts = async (request: ExpertRequest) => {
      const sums = await Promise.all(shards.map((shard) => shard.apply(request)));
      return sums[0]!.map((value, i) => value + sums[1]![i]!);
    };
    const partition = load(dir, { localExperts: { first: 0, count: 1 }, remoteExperts });
    assert.deepEqual(await greedy([partition], prompt_ids, 60), ids.slice(0, 60));
    assert.equal(checkpointBytes(folder.weights) > 1_000_000, true);
    folder.close();
  },
);
