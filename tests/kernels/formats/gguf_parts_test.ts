import assert from "node:assert/strict";
import { openGguf, openModel } from "../../../kernels/formats/mod.ts";
import { encodeGguf, ggml, patterned, smallMetadata, type TypedValue } from "./gguf_support.ts";
import { assertRefused, withFolder } from "./support.ts";

const tensors = [
  patterned("token_embd.weight", [40, 32], ggml.q8_0),
  patterned("output_norm.weight", [32]),
  patterned("blk.0.attn_norm.weight", [32]),
  patterned("blk.1.attn_norm.weight", [32]),
];

interface Claims {
  readonly count?: number;
  readonly number?: number;
  readonly total?: number;
}

/** Writes part `index` of three; the last one holds two tensors. */
function writePart(dir: string, index: number, claims: Claims = {}): string {
  const path = `${dir}/model-0000${index + 1}-of-00003.gguf`;
  const split: Record<string, TypedValue> = {
    "split.count": [2, claims.count ?? 3],
    "split.no": [2, claims.number ?? index],
    "split.tensors.count": [5, claims.total ?? 4],
  };
  const metadata = index === 0 ? { ...smallMetadata("llama"), ...split } : split;
  const held = tensors.slice(index, index === 2 ? 4 : index + 1);
  Deno.writeFileSync(path, encodeGguf({ metadata, tensors: held }));
  return path;
}

Deno.test("openGguf() joins parts, whichever is named", async () => {
  await withFolder(async (dir) => {
    const paths = [0, 1, 2].map((index) => writePart(dir, index));
    const hashes = new Set<string>();
    for (const path of [...paths, dir]) {
      const model = openModel(path);
      assert.deepEqual(model.weights.names(), [
        "model.embed_tokens.weight",
        "model.norm.weight",
        "model.layers.0.input_layernorm.weight",
        "model.layers.1.input_layernorm.weight",
      ]);
      const bytes = new Uint8Array(128);
      model.weights.read("model.layers.1.input_layernorm.weight", 0, bytes);
      assert.deepEqual(bytes, tensors[3]!.data);
      hashes.add(await model.hash());
      model.close();
    }
    assert.equal(hashes.size, 1);
  });
});

Deno.test("openGguf() refuses parts that are missing or disagree", async () => {
  await withFolder((dir) => {
    const [first, second] = [0, 1, 2].map((index) => writePart(dir, index));
    const open = () => openGguf(first!);
    writePart(dir, 1, { count: 4 });
    assertRefused(open, "Mismatch", "split.count");
    writePart(dir, 1, { number: 2 });
    assertRefused(open, "Mismatch", "split.no");
    writePart(dir, 1);
    writePart(dir, 0, { total: 5 });
    assertRefused(open, "Mismatch", "split.tensors.count");
    writePart(dir, 0);
    Deno.removeSync(second!);
    assertRefused(open, "NotFound", "model-00002-of-00003.gguf");
    Deno.renameSync(first!, `${dir}/alone.gguf`);
    assertRefused(() => openGguf(`${dir}/alone.gguf`), "Mismatch", "split.count");
    Deno.copyFileSync(`${dir}/alone.gguf`, `${dir}/a-00004-of-00000.gguf`);
    assertRefused(() => openGguf(`${dir}/a-00004-of-00000.gguf`), "Mismatch", "00004");
  });
});

Deno.test("openModel() finds the one model of a folder", async () => {
  await withFolder((dir) => {
    assertRefused(() => openModel(`${dir}/none`), "NotFound", "none");
    assertRefused(() => openModel(dir), "NotFound", "config.json");
    const contents = encodeGguf({ metadata: smallMetadata("qwen3"), tensors });
    Deno.writeFileSync(`${dir}/a.gguf`, contents);
    const model = openModel(dir);
    assert.deepEqual(model.config["architectures"], ["Qwen3ForCausalLM"]);
    assert.equal(model.dir, `${dir}/a.gguf`);
    model.close();
    Deno.writeFileSync(`${dir}/b.gguf`, contents);
    assertRefused(() => openModel(dir), "Mismatch", "b.gguf");
  });
});
