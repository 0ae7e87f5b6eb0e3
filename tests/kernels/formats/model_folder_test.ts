import assert from "node:assert/strict";
import {
  openModelFolder,
  parseGenerationConfig,
  readFloat32,
  writeSafetensors,
} from "../../../kernels/formats/mod.ts";
import { sharedTest } from "../../support/shared.ts";
import { assertRefused, pattern, withFolder } from "./support.ts";

function writeFolder(dir: string): void {
  Deno.writeTextFileSync(`${dir}/config.json`, '{"model_type": "llama", "eos_token_id": 2}');
  const tensor = { name: "w", dtype: "f32", shape: [4], data: pattern(16) } as const;
  writeSafetensors(`${dir}/model.safetensors`, [tensor]);
}

sharedTest(
  "openModelFolder() reads a model in Hugging Face form",
  "models/zoo/giant",
  async (dir) => {
    const folder = openModelFolder(dir);
    assert.equal(folder.config["model_type"], "mixtral");
    assert.deepEqual(folder.generationConfig, {
      bosTokenId: 256,
      eosTokenIds: [257],
      padTokenId: 258,
      doSample: false,
      maxNewTokens: 34,
    });
    const names = folder.weights.names();
    const bytes = names.map((name) => folder.weights.info(name)?.byteLength ?? 0);
    assert.equal(bytes.reduce((sum, length) => sum + length, 0), 11_640_768 * 2);
    assert.equal(readFloat32(folder.weights, "model.norm.weight").length, 192);
    assert.notEqual(folder.tokenizerJson, undefined);
    assert.match(await folder.hash(), /^sha256:[0-9a-f]{64}$/);
    folder.close();
  },
);

sharedTest("hash() tells models apart", "models", async (dir) => {
  const names = ["stories260K", "stories260K-moe4", "zoo/small", "zoo/giant"];
  const hashes = await Promise.all(names.map(async (name) => {
    using folder = closing(`${dir}/${name}`);
    return await folder.hash();
  }));
  assert.equal(new Set(hashes).size, names.length);
});

function closing(dir: string) {
  const folder = openModelFolder(dir);
  return { hash: () => folder.hash(), [Symbol.dispose]: () => folder.close() };
}

Deno.test("hash() depends on config and tokenizer, not on layout", async () => {
  await withFolder(async (dir) => {
    writeFolder(dir);
    const hash = async () => {
      using folder = closing(dir);
      return await folder.hash();
    };
    const original = await hash();
    Deno.writeTextFileSync(`${dir}/config.json`, '{"model_type":"llama","eos_token_id":2}');
    assert.equal(await hash(), original);
    Deno.writeTextFileSync(`${dir}/tokenizer.json`, "{}");
    const withTokenizer = await hash();
    assert.notEqual(withTokenizer, original);
    Deno.writeTextFileSync(`${dir}/config.json`, '{"model_type":"llama","eos_token_id":3}');
    assert.notEqual(await hash(), withTokenizer);
  });
});

Deno.test("openModelFolder() opens what is optional only when it is there", async () => {
  await withFolder((dir) => {
    writeFolder(dir);
    const bare = openModelFolder(dir);
    assert.deepEqual([bare.tokenizerJson, bare.tokenizerConfig, bare.chatTemplate], [
      undefined,
      undefined,
      undefined,
    ]);
    assert.deepEqual(bare.generationConfig, { eosTokenIds: [2] });
    bare.close();
    Deno.writeTextFileSync(`${dir}/chat_template.jinja`, "{{ 1 }}");
    const templated = openModelFolder(dir);
    assert.equal(templated.chatTemplate, "{{ 1 }}");
    templated.close();
  });
});

Deno.test("openModelFolder() refuses missing and half-copied folders with one line", async () => {
  await withFolder((dir) => {
    const open = () => openModelFolder(dir).close();
    assertRefused(() => openModelFolder(`${dir}/none`), "NotFound", "none");
    assertRefused(open, "NotFound", "config.json");
    Deno.writeTextFileSync(`${dir}/config.json`, '{"model_type":');
    assertRefused(open, "InvalidConfig", "config.json");
    Deno.writeTextFileSync(`${dir}/config.json`, "[1]");
    assertRefused(open, "InvalidConfig", "[1]");
    Deno.writeTextFileSync(`${dir}/config.json`, "[".repeat(50_000) + "]".repeat(50_000));
    assertRefused(open, "InvalidConfig", "not an object");
    Deno.writeFileSync(`${dir}/config.json`, Uint8Array.of(0x7b, 0xff, 0x7d));
    assertRefused(open, "InvalidConfig", "config.json");
    Deno.writeTextFileSync(`${dir}/config.json`, "{}");
    assertRefused(open, "NotFound", "model.safetensors");
    writeFolder(dir);
    open();
    Deno.truncateSync(`${dir}/model.safetensors`, 90);
    assertRefused(open, "Truncated", "half-copied");
    Deno.truncateSync(`${dir}/config.json`, 10_000_001);
    assertRefused(open, "TooLarge", "10000001 bytes");
  });
});

Deno.test("parseGenerationConfig() reads lists, nulls and unknown keys", () => {
  const config = { bos_token_id: 1, eos_token_id: 2, pad_token_id: -1, temperature: "hot" };
  assert.deepEqual(parseGenerationConfig(undefined, config, "m"), {
    bosTokenId: 1,
    eosTokenIds: [2],
  });
  const generation = {
    bos_token_id: null,
    eos_token_id: [5, 6],
    do_sample: true,
    temperature: 0.6,
    top_k: 40,
    top_p: 0.9,
    min_p: null,
    repetition_penalty: 1.1,
    max_new_tokens: 100,
    max_length: 4096,
    transformers_version: "4.40.0",
  };
  assert.deepEqual(parseGenerationConfig(generation, config, "m"), {
    bosTokenId: 1,
    eosTokenIds: [5, 6],
    doSample: true,
    temperature: 0.6,
    topK: 40,
    topP: 0.9,
    repetitionPenalty: 1.1,
    maxNewTokens: 100,
    maxLength: 4096,
  });
});

Deno.test("parseGenerationConfig() refuses wrong values by path and value", () => {
  const refused: [unknown, string][] = [
    [{ temperature: -1 }, "temperature"],
    [{ top_p: 2 }, "got 2"],
    [{ eos_token_id: [1, "2"] }, "eos_token_id"],
    [{ max_new_tokens: 0.5 }, "max_new_tokens"],
    [[], "generation_config.json"],
  ];
  for (const [generation, mention] of refused) {
    assertRefused(() => parseGenerationConfig(generation, {}, "m"), "InvalidConfig", mention);
  }
  assertRefused(
    () => parseGenerationConfig({}, { eos_token_id: "x" }, "m"),
    "InvalidConfig",
    "m/config",
  );
});
