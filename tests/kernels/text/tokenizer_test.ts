import assert from "node:assert/strict";
import { assertVocabulary, loadTokenizer, TextError } from "../../../kernels/text/mod.ts";
import { sharedPath, sharedTest } from "../../support/shared.ts";
import { gpt2TokenizerJson, subjectOf } from "./support.ts";

const minimal = {
  model: { type: "BPE", vocab: { a: 0, b: 1 }, merges: [] },
  decoder: { type: "ByteLevel" },
};

sharedTest("loadTokenizer() encodes and decodes GPT-2's 47 pairs", "data/gpt2-tokenizer", (dir) => {
  const texts = Deno.readTextFileSync(`${dir}/ggml-vocab-gpt-2.gguf.inp`)
    .split("\n__ggml_vocab_test__\n");
  const lines = Deno.readTextFileSync(`${dir}/ggml-vocab-gpt-2.gguf.out`).split("\n");
  const tokenizer = loadTokenizer(gpt2TokenizerJson(dir));
  const pairs = lines.slice(0, 47).map((line, index) => ({
    text: texts[index] ?? "",
    ids: line.split(" ").filter((id) => id !== "").map(Number),
  }));
  assert.equal(texts.length, 47);
  for (const { text, ids } of pairs) {
    assert.deepEqual(tokenizer.encode(text), ids, JSON.stringify(text));
    assert.equal(tokenizer.decode(ids), text);
  }
});

sharedTest("decode() gives stories260K's published text", "models/stories260K", (dir) => {
  const { tokenizer } = subjectOf(dir);
  const { ids, text } = JSON.parse(Deno.readTextFileSync(`${dir}/expected_greedy.json`));
  assert.equal(tokenizer.decode(ids, { skipSpecialTokens: true }), text);
  assert.deepEqual(tokenizer.encode(text).slice(0, 40), [1, ...ids.slice(0, 39)]);
});

sharedTest("loadTokenizer() knows special tokens", "models/zoo/small", (dir) => {
  const { tokenizer } = subjectOf(dir);
  assert.equal(tokenizer.vocabSize, 260);
  assert.equal(tokenizer.bosId, 256);
  assert.deepEqual(tokenizer.eosIds, [257]);
  assert.equal(tokenizer.padId, 258);
  assert.deepEqual([...tokenizer.specialIds], [256, 257, 258, 259]);
  assert.deepEqual(tokenizer.encode("1+1="), [256, 49, 43, 49, 61]);
  assert.deepEqual(tokenizer.encode("1+1=", { addSpecialTokens: false }), [49, 43, 49, 61]);
  assert.equal(tokenizer.decode([256, 49, 257]), "<bos>1<eos>");
  assert.equal(tokenizer.decode([256, 49, 257], { skipSpecialTokens: true }), "1");
});

sharedTest("tokenBytes() gives the bytes of each kind of token", "models", (dir) => {
  const zoo = subjectOf(`${dir}/zoo/small`).tokenizer;
  const stories = subjectOf(`${dir}/stories260K`).tokenizer;
  for (let byte = 0; byte < 256; byte++) {
    assert.deepEqual(zoo.tokenBytes(byte), Uint8Array.of(byte));
    assert.deepEqual(stories.tokenBytes(byte + 3), Uint8Array.of(byte));
  }
  assert.deepEqual(stories.tokenBytes(265), new TextEncoder().encode(" the"));
  assert.equal(stories.tokenText(265), "\u2581the");
  assert.deepEqual(zoo.tokenBytes(256), new TextEncoder().encode("<bos>"));
  assert.deepEqual(zoo.tokenBytes(1000), new Uint8Array());
  assert.equal(zoo.tokenText(1000), "");
});

sharedTest("assertVocabulary() refuses ids beyond the model", "models/zoo/small", (dir) => {
  const { tokenizer } = subjectOf(dir);
  assertVocabulary(tokenizer, 260);
  assertVocabulary(tokenizer, 512);
  assert.throws(() => assertVocabulary(tokenizer, 259), {
    code: "VocabularyMismatch",
    message: "Cannot use tokenizer with this model: 260 token ids, model has 259",
  });
});

Deno.test("loadTokenizer() says when tokenizer.json is missing", () => {
  assert.throws(() => loadTokenizer(undefined, {}), {
    code: "NotFound",
    message: "Cannot load tokenizer: the model has no tokenizer.json",
  });
});

Deno.test("loadTokenizer() refuses broken files with one line", () => {
  const broken: unknown[] = [
    null,
    [],
    "text",
    { model: null },
    { ...minimal, model: { type: "BPE", vocab: { a: -1 } } },
    { ...minimal, model: { type: "BPE", vocab: { a: 1e12 } } },
    { ...minimal, model: { type: "BPE", vocab: { a: 0 } } },
    { ...minimal, model: { type: "Nonsense", vocab: 7 } },
    { ...minimal, added_tokens: [{ id: "1", content: "x" }] },
    { ...minimal, pre_tokenizer: { type: "Nonsense" } },
    { ...minimal, decoder: { type: "Nonsense" } },
    { ...minimal, decoder: { type: "Sequence", decoders: [null] } },
    { ...minimal, decoder: { type: "Sequence", decoders: 3 } },
    { ...minimal, decoder: undefined },
  ];
  for (const json of broken) {
    assert.throws(() => loadTokenizer(json), (error) => {
      assert(error instanceof TextError, String(error));
      assert(["InvalidTokenizer", "Unsupported"].includes(error.code));
      assert(!error.message.includes("\n") && error.message.length < 700);
      return true;
    }, JSON.stringify(json));
  }
  assert.throws(() => loadTokenizer(minimal, { bos_token: 5 }), { code: "InvalidTokenizer" });
});

Deno.test("encode() drops characters that a vocabulary without unknown token lacks", () => {
  const tokenizer = loadTokenizer(minimal);
  assert.deepEqual(tokenizer.encode("abxa"), [0, 1, 0]);
  assert.deepEqual(tokenizer.encode(""), []);
});

sharedTest("encode() takes any string", "data/gpt2-tokenizer", () => {
  const tokenizer = loadTokenizer(gpt2TokenizerJson(sharedPath("data/gpt2-tokenizer")));
  assert.equal(tokenizer.decode(tokenizer.encode("\ud800x")), "\ufffdx");
  const long = "a b".repeat(20_000);
  assert.equal(tokenizer.decode(tokenizer.encode(long)), long);
});
