import assert from "node:assert/strict";
import { type ModelShape, tinyDense, tinyMoe } from "../../../bench/shapes.ts";
import { openFolder, randomModel, writeFolder, writeGguf } from "../../../bench/weights/mod.ts";
import {
  FormatError,
  openGguf,
  openModel,
  openModelFolder,
  readFloat32,
  type WeightSource,
} from "../../../kernels/formats/mod.ts";
import { ModelPartition, parseModelSpec } from "../../../kernels/models/mod.ts";
import { createReferenceBackend } from "../../../kernels/reference/mod.ts";
import { loadTokenizer, TextError } from "../../../kernels/text/mod.ts";
import { randomIntegers } from "../../support/random.ts";
import { sharedTest } from "../../support/shared.ts";
import { greedy, placement } from "../models/greedy.ts";
import { withFolder } from "./support.ts";

/** Norms and routers of a GGUF file are F32; matrices are as in the folder, byte for byte. */
function assertSameWeights(gguf: WeightSource, folder: WeightSource): void {
  assert.deepEqual([...gguf.names()].sort(), [...folder.names()].sort());
  for (const name of folder.names()) {
    const [found, expected] = [gguf.info(name)!, folder.info(name)!];
    assert.deepEqual(found.shape, expected.shape, name);
    if (found.dtype === expected.dtype) {
      const [a, b] = [found, expected].map(({ byteLength }) => new Uint8Array(byteLength));
      gguf.read(name, 0, a!);
      folder.read(name, 0, b!);
      assert.deepEqual(a, b, name);
    } else {
      assert.equal(found.dtype, "f32");
      assert.deepEqual(readFloat32(gguf, name), readFloat32(folder, name), name);
    }
  }
}

const shapes: readonly ModelShape[] = [tinyDense, tinyMoe];

for (const shape of shapes) {
  Deno.test(`openGguf() gives the folder's model: ${shape.name}`, async () => {
    await withFolder((dir) => {
      const model = randomModel(shape, 7);
      writeFolder(`${dir}/folder`, model);
      writeGguf(`${dir}/model.gguf`, model, shape.name);
      const folder = openModelFolder(`${dir}/folder`);
      const gguf = openModel(`${dir}/model.gguf`);
      assertSameWeights(gguf.weights, folder.weights);
      assert.deepEqual(parseModelSpec(gguf.config), parseModelSpec(folder.config));
      assert.deepEqual(gguf.generationConfig, folder.generationConfig);
      const tokenizers = [gguf, folder].map(({ tokenizerJson, tokenizerConfig }) =>
        loadTokenizer(tokenizerJson, tokenizerConfig)
      );
      const [a, b] = tokenizers.map((tokenizer) => tokenizer.encode("Once upon</s> a tïme"));
      assert.deepEqual(a, b);
      gguf.close();
      folder.close();
    });
  });
}

Deno.test("read() gives any range of rows that are stored in another order", async () => {
  await withFolder((dir) => {
    const path = `${dir}/model.gguf`;
    writeGguf(path, randomModel(tinyDense, 3), "ranges");
    const { weights, close } = openGguf(path);
    const name = "model.layers.1.self_attn.q_proj.weight";
    const whole = new Uint8Array(weights.info(name)!.byteLength);
    weights.read(name, 0, whole);
    for (const [from, length] of [[0, 1], [127, 2], [500, 3000], [2047, 4097], [8191, 1], [5, 0]]) {
      const part = new Uint8Array(length!);
      weights.read(name, from!, part);
      assert.deepEqual(part, whole.slice(from, from! + length!), `${from}+${length}`);
    }
    close();
  });
});

for (const name of ["stories260K", "stories260K-moe4"]) {
  sharedTest(`openGguf() gives ${name} its published text`, `models/${name}`, async (folder) => {
    await withFolder(async (dir) => {
      const path = `${dir}/model.gguf`;
      using source = openFolder(folder);
      writeGguf(path, source, name);
      const { prompt_ids: prompt, ids } = JSON.parse(
        Deno.readTextFileSync(`${folder}/expected_greedy.json`),
      );
      const { config, weights, close } = openGguf(path);
      const spec = parseModelSpec(config);
      const layers = { first: 0, count: spec.layers };
      const backend = createReferenceBackend();
      const model = ModelPartition.load(backend, spec, weights, { ...placement, layers });
      assert.deepEqual(await greedy([model], prompt, 30), ids.slice(0, 30));
      close();
    });
  });
}

Deno.test("openGguf() throws nothing but FormatError and TextError on mutated files", async () => {
  await withFolder((dir) => {
    const path = `${dir}/model.gguf`;
    writeGguf(path, randomModel({ ...tinyMoe, layers: 1 }, 5), "mutated");
    const bytes = Deno.readFileSync(path);
    const random = randomIntegers(23);
    using file = Deno.openSync(path, { write: true });
    const write = (at: number, value: number) => {
      file.seekSync(at, Deno.SeekMode.Start);
      file.writeSync(Uint8Array.of(value));
    };
    let refused = 0;
    for (let round = 0; round < 3000; round++) {
      const places = Array.from({ length: 1 + random(3) }, () => random(1400));
      for (const at of places) write(at, random(2) === 0 ? random(256) : random(5));
      try {
        const model = openGguf(path);
        model.close();
        void model.tokenizerConfig;
      } catch (error) {
        assert(error instanceof FormatError || error instanceof TextError, String(error));
        refused++;
      }
      for (const at of places) write(at, bytes[at]!);
    }
    assert(refused > 100, String(refused));
    openGguf(path).close();
  });
});
