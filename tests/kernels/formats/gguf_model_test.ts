import assert from "node:assert/strict";
import { type ModelShape, tinyDense, tinyMoe } from "../../../bench/engine/shapes.ts";
import { randomModel, writeFolder, writeGguf } from "../../../bench/engine/weights/mod.ts";
import {
  openGguf,
  openModel,
  openModelFolder,
  readFloat32,
  type WeightSource,
} from "../../../kernels/formats/mod.ts";
import { parseModelSpec } from "../../../kernels/models/mod.ts";
import { loadTokenizer } from "../../../kernels/text/mod.ts";
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
