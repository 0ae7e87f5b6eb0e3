import assert from "node:assert/strict";
import {
  openModelFolder,
  type TensorToWrite,
  type WeightSource,
} from "../../../kernels/formats/mod.ts";
import {
  checkpointBytes,
  type ExpertHolding,
  ExpertShard,
  ModelPartition,
  parseModelSpec,
  type PartitionOptions,
} from "../../../kernels/models/mod.ts";
import { WeightLoader } from "../../../kernels/models/weight_loader.ts";
import { createReferenceBackend } from "../../../kernels/reference/mod.ts";
import { withFolder } from "../formats/support.ts";
import { modelCases } from "./architectures.ts";
import { randomCheckpoint, writeCheckpoint } from "./checkpoint.ts";
import { assertRefused } from "./refusal.ts";
import { greedyStep } from "./stepping.ts";

const capacity = { tokens: 4, samples: 4, sequences: 1, sequencePages: 2, history: 1 };
const model = (name: string) => {
  const { config, dtype } = modelCases.find((model) => model.name === name)!;
  return randomCheckpoint(config, dtype, 1);
};
const mixtral = model("Mixtral");
const up = "model.layers.1.block_sparse_moe.experts.3.w3.weight";

type Open = (options?: Partial<PartitionOptions>, maxBytes?: number) => ModelPartition;

/** Runs `body` with a way to load the Mixtral case whose tensors were changed by `change`. */
function withModel(
  change: (tensor: TensorToWrite) => TensorToWrite[],
  body: (open: Open, folder: ReturnType<typeof openModelFolder>) => void | Promise<void>,
): Promise<void> {
  return withFolder(async (dir) => {
    writeCheckpoint(dir, { ...mixtral, stored: mixtral.stored.flatMap(change) });
    const folder = openModelFolder(dir);
    const spec = parseModelSpec(folder.config);
    try {
      await body(
        (options = {}, maxBytes = 2 ** 24) =>
          ModelPartition.load(createReferenceBackend({ maxBytes }), spec, folder.weights, {
            layers: { first: 0, count: spec.layers },
            capacity,
            pages: 2,
            pageSize: 4,
            ...options,
          }),
        folder,
      );
    } finally {
      folder.close();
    }
  });
}

const only =
  (name: string, change: (tensor: TensorToWrite) => TensorToWrite[]) => (tensor: TensorToWrite) =>
    tensor.name === name ? change(tensor) : [tensor];

for (const name of ["model.embed_tokens.weight", "model.norm.weight", "lm_head.weight", up]) {
  Deno.test(`ModelPartition.load() names a missing tensor: ${name}`, () =>
    withModel(only(name, () => []), (open) => {
      assertRefused(open, "InvalidModel", name);
    }));
}

Deno.test("ModelPartition.load() names a tensor of a wrong shape, with both shapes", () =>
  withModel(only(up, (tensor) => [{ ...tensor, shape: tensor.shape.toReversed() }]), (open) => {
    assertRefused(open, "InvalidModel", up, "[37, 24]", "[24, 37]");
  }));

Deno.test("ModelPartition.load() names a tensor of integers", () =>
  withModel(only(up, (tensor) => [{ ...tensor, dtype: "i16" }]), (open) => {
    assertRefused(open, "Unsupported", up, "i16");
  }));

Deno.test("WeightLoader stacks tensors of several dtypes as float32", () => {
  const shape = [1, 4];
  const parts = new Map([
    ["half", { dtype: "f16", bytes: new Uint8Array(new Float16Array([1, -2, 0.5, 3]).buffer) }],
    ["whole", { dtype: "f32", bytes: new Uint8Array(new Float32Array([0.1, 4, 5, 6]).buffer) }],
  ]);
  const source = {
    info: (name: string) => ({ dtype: parts.get(name)!.dtype, shape, byteLength: 0 }),
    read: (name: string, at: number, into: Uint8Array) =>
      into.set(parts.get(name)!.bytes.subarray(at, at + into.length)),
  } as unknown as WeightSource;
  const backend = createReferenceBackend();
  const named = [...parts.keys()].map((name) => ({ name, shape }));
  const loader = new WeightLoader(backend, source);
  assert.equal(loader.storedAlike(named), false);
  const tensor = loader.stack("both", named, [2, 4]);
  assert.equal(tensor.dtype, "f32");
});

Deno.test("ModelPartition.load() refuses a device without room", () =>
  withModel((tensor) => [tensor], (open) => {
    assertRefused(() => open({}, 10_000), "OutOfMemory", "bytes");
  }));

Deno.test("ModelPartition.load() refuses layers and experts that are not there", () =>
  withModel((tensor) => [tensor], (open) => {
    for (
      const layers of [{ first: 1, count: 3 }, { first: -1, count: 1 }, { first: 0, count: 0 }]
    ) {
      assertRefused(() => open({ layers }), "InvalidArgument", `${layers.first}+${layers.count}`);
    }
    const localExperts = { first: 3, count: 3 };
    const remoteExperts = () => Promise.resolve(new Float32Array(0));
    assertRefused(() => open({ localExperts, remoteExperts }), "InvalidArgument", "outside 0-4: 5");
    assertRefused(
      () => open({ localExperts: { first: 0, count: 1 } }),
      "InvalidArgument",
      "1 here",
    );
  }));

Deno.test("ModelPartition.load() tells its progress up to the checkpoint's bytes", () =>
  withModel((tensor) => [tensor], (open, { weights }) => {
    const told: number[] = [];
    open({ progress: (bytes) => told.push(bytes) });
    assert.deepEqual(told, told.toSorted((a, b) => a - b));
    assert.equal(told.at(-1), checkpointBytes(weights));
  }));

Deno.test("ModelPartition.step() refuses what passes its capacity or lacks its input", () =>
  withModel((tensor) => [tensor], async (open) => {
    const partition = open({ layers: { first: 1, count: 2 } });
    const larger = { ...capacity, tokens: 5, samples: 5 };
    const five = Array.from({ length: 5 }, (_, position) => ({ sequence: 0, position, id: 1 }));
    const refused = async (step: ReturnType<typeof greedyStep>, says: string) => {
      const error = await partition.step(step).then(() => undefined, (error) => error);
      assertRefused(
        () => {
          throw error;
        },
        "InvalidArgument",
        says,
      );
    };
    await refused(greedyStep(larger, [[0, 1]], five, [0]), "4 tokens: 5");
    await refused(greedyStep(larger, [[0, 1]], five.slice(0, 1), [0, 0, 0, 0, 0]), "4 samples: 5");
    await refused(
      greedyStep(capacity, [[0, 1]], five.slice(0, 2), [0]),
      "values of x than 48: 0",
    );
    const hidden = new Float32Array(48);
    const [one] = five;
    const strange = [
      [{ ...one!, position: -1 }, [0, 1], "position outside 8: -1"],
      [{ ...one!, position: 8 }, [0, 1], "position outside 8: 8"],
      [{ ...one!, sequence: 3 }, [0, 1], "row of the page tables outside 1: 3"],
      [one!, [0, 99], "page outside 2: 99"],
    ] as const;
    for (const [token, pages, says] of strange) {
      await refused({ ...greedyStep(capacity, [pages], [token], [0]), hidden }, says);
    }
    await refused({ ...greedyStep(capacity, [[0]], [one!], [0]), hidden, rounds: 2 }, "rounds: 2");
  }));

Deno.test("ExpertShard refuses dense models, strange layers and arrays that do not fit", () =>
  withModel((tensor) => [tensor], async (_, folder) => {
    const spec = parseModelSpec(folder.config);
    const holding = { layers: { first: 1, count: 1 }, experts: [2, 0] };
    const options = { holds: [holding], tokens: 2 };
    const shard = new ExpertShard(createReferenceBackend(), spec, folder.weights, options);
    const request = {
      layer: 1,
      tokens: 2,
      x: new Float32Array(48),
      experts: Int32Array.of(0, 4, 1, 3),
      weights: new Float32Array(4),
    };
    const { mixture: _mixture, ...dense } = spec;
    assert.throws(
      () => new ExpertShard(createReferenceBackend(), dense, folder.weights, options),
      /without experts/,
    );
    const open = (holds: readonly ExpertHolding[]) =>
      new ExpertShard(createReferenceBackend(), spec, folder.weights, { holds, tokens: 2 });
    assert.throws(() => open([holding, holding]), /two lists of experts of layer: 1$/);
    assert.throws(() => open([{ ...holding, experts: [1, 99] }]), /experts outside 0-\d+: 99$/);
    assert.throws(() => open([{ ...holding, experts: [] }]), /experts outside 0-\d+: none$/);
    assert.equal((await shard.apply(request)).length, 48);
    await assert.rejects(shard.apply({ ...request, layer: 0 }), /experts of layer: 0$/);
    await assert.rejects(shard.apply({ ...request, tokens: 3 }), /over 2: 3$/);
    await assert.rejects(shard.apply({ ...request, x: new Float32Array(47) }), /48 values: 47$/);
    await assert.rejects(shard.apply({ ...request, weights: new Float32Array(5) }), /: 5$/);
  }));
