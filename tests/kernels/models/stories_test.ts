import assert from "node:assert/strict";
import type { Backend } from "../../../kernels/backend.ts";
import { openModelFolder } from "../../../kernels/formats/mod.ts";
import { createReferenceBackend } from "../../../kernels/reference/mod.ts";
import {
  ModelPartition,
  parseModelSpec,
  type PartitionOptions,
} from "../../../kernels/models/mod.ts";
import { sharedTest } from "../../support/shared.ts";
import { testedBackends } from "./backends.ts";
import { greedy, greedyBatch, placement } from "./greedy.ts";
import { shardedExperts } from "./sharding.ts";

/** Ids that are reproduced: all, or a prefix where the backend's tests run again on a slow driver. */
const length = Deno.env.has("TANDEM_TEST_ADAPTER") ? 64 : undefined;

for (const { name, with: withBackends } of testedBackends) {
  for (const model of ["stories260K", "stories260K-moe4"]) {
    const path = `models/${model}`;

    sharedTest(
      `${name} reproduces the published ids of ${model}`,
      path,
      (dir) =>
        withBackends(async (create) => {
          const { prompt, ids } = expected(dir);
          const known = ids.slice(0, length);
          assert.deepEqual(await greedy([load(await create(), dir)], prompt, known.length), known);
        }),
    );

    sharedTest(
      `${name} agrees with chunked prefill of ${model}`,
      path,
      (dir) =>
        withBackends(async (create) => {
          const { prompt, ids } = expected(dir);
          const longer = [...prompt, ...ids.slice(0, 60)];
          const actual = await greedy([load(await create(), dir)], longer, 40, 7);
          assert.deepEqual(actual, ids.slice(60, 100));
        }),
    );

    sharedTest(
      `${name} decodes 32 different prompts of ${model} in one batch`,
      path,
      (dir) =>
        withBackends(async (create) => {
          const { prompt, ids } = expected(dir);
          const lengths = Array.from({ length: 32 }, (_, i) => 3 * ((i * 11) % 32));
          const prompts = lengths.map((length) => [...prompt, ...ids.slice(0, length)]);
          const actual = await greedyBatch([load(await create(), dir)], prompts, 20);
          assert.deepEqual(actual, lengths.map((length) => ids.slice(length, length + 20)));
        }),
    );

    sharedTest(
      `${name} decodes rounds in a row of ${model}`,
      path,
      (dir) =>
        withBackends(async (create) => {
          const { prompt, ids } = expected(dir);
          const prompts = [0, 20, 3].map((length) => [...prompt, ...ids.slice(0, length)]);
          const actual = await greedyBatch([load(await create(), dir)], prompts, 30, 64, 4);
          assert.deepEqual(actual, [0, 20, 3].map((length) => ids.slice(length, length + 30)));
        }),
    );

    if (name !== "reference") {
      sharedTest(
        `${name} agrees with the reference on a cache of integers of ${model}`,
        path,
        (dir) =>
          withBackends(async (create) => {
            const { prompt, ids } = expected(dir);
            const prompts = [prompt, [...prompt, ...ids.slice(0, 30)]];
            const int8 = { kvDtype: "int8" } as const;
            const known = await greedyBatch(
              [load(createReferenceBackend(), dir, int8)],
              prompts,
              60,
            );
            assert.deepEqual(
              await greedyBatch([load(await create(), dir, int8)], prompts, 60),
              known,
            );
          }),
      );
    }

    sharedTest(
      `${name} agrees in two partitions of ${model}`,
      path,
      (dir) =>
        withBackends(async (create) => {
          const { prompt, ids } = expected(dir);
          const halves = [
            load(await create(), dir, { layers: { first: 0, count: 2 } }),
            load(await create(), dir, { layers: { first: 2, count: 3 } }),
          ];
          assert.deepEqual(await greedy(halves, prompt, 40), ids.slice(0, 40));
        }),
    );
  }

  sharedTest(
    `${name} agrees with experts in shards`,
    "models/stories260K-moe4",
    (dir) =>
      withBackends(async (create) => {
        const { prompt, ids } = expected(dir);
        const remoteExperts = await loadShards(create, dir, [[2, 1], [3]]);
        const local = { localExperts: { first: 0, count: 1 }, remoteExperts };
        const partition = load(await create(), dir, local);
        assert.deepEqual(await greedy([partition], prompt, 60), ids.slice(0, 60));
      }),
  );
}

function expected(dir: string): { prompt: number[]; ids: number[] } {
  const { prompt_ids, ids } = JSON.parse(Deno.readTextFileSync(`${dir}/expected_greedy.json`));
  return { prompt: prompt_ids, ids };
}

function load(backend: Backend, dir: string, options: Partial<PartitionOptions> = {}) {
  const folder = openModelFolder(dir);
  const spec = parseModelSpec(folder.config);
  const layers = { first: 0, count: spec.layers };
  try {
    return ModelPartition.load(backend, spec, folder.weights, {
      ...placement,
      layers,
      ...options,
    });
  } finally {
    folder.close();
  }
}

async function loadShards(
  create: () => Promise<Backend>,
  dir: string,
  held: readonly (readonly number[])[],
) {
  const folder = openModelFolder(dir);
  const spec = parseModelSpec(folder.config);
  try {
    return await shardedExperts(create, spec, folder.weights, placement.capacity.tokens, held);
  } finally {
    folder.close();
  }
}
