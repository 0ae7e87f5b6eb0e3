import assert from "node:assert/strict";
import {
  createChatTemplate,
  findChatTemplate,
  ggufTokenizer,
  loadTokenizer,
  TextError,
  type TextErrorCode,
  type Tokenizer,
} from "../../../kernels/text/mod.ts";
import { sharedTest } from "../../support/shared.ts";
import { throughFile } from "../formats/gguf_support.ts";
import { gpt2Metadata, kind, sentencePieceMetadata, spmMetadata } from "./gguf_support.ts";
import { subjectOf } from "./support.ts";

function load(metadata: ReadonlyMap<string, unknown>): Tokenizer {
  const { tokenizerJson, tokenizerConfig } = ggufTokenizer(throughFile(metadata));
  return loadTokenizer(tokenizerJson, tokenizerConfig);
}

function assertRefused(
  metadata: ReadonlyMap<string, unknown>,
  code: TextErrorCode,
  mention: string,
): void {
  assert.throws(() => ggufTokenizer(metadata), (error) => {
    assert(error instanceof TextError, String(error));
    assert.equal(error.code, code);
    assert(error.message.includes(mention), error.message);
    assert(!error.message.includes("\n"));
    return true;
  });
}

/** A byte-level vocabulary of some words, cut by the pre-tokenizer of this name. */
function byteLevelMetadata(pre: string, words: readonly string[]): Map<string, unknown> {
  const characters = [...new Set(words.join(""))];
  const tokens = [...characters, ...words.filter((word) => word.length > 1)];
  return new Map<string, unknown>([
    ["tokenizer.ggml.model", "gpt2"],
    ["tokenizer.ggml.pre", pre],
    ["tokenizer.ggml.tokens", tokens],
    ["tokenizer.ggml.merges", words.flatMap((word) => mergesOf(word))],
    ["tokenizer.ggml.bos_token_id", 0],
  ]);
}

/** Merges that put a word together from the left. */
function mergesOf(word: string): string[] {
  return Array.from(
    { length: word.length - 1 },
    (_, i) => `${word.slice(0, i + 1)} ${word[i + 1]}`,
  );
}

sharedTest("ggufTokenizer() encodes GPT-2's 47 pairs", "data/gpt2-tokenizer", (dir) => {
  const texts = Deno.readTextFileSync(`${dir}/ggml-vocab-gpt-2.gguf.inp`)
    .split("\n__ggml_vocab_test__\n");
  const lines = Deno.readTextFileSync(`${dir}/ggml-vocab-gpt-2.gguf.out`).split("\n");
  const tokenizer = load(gpt2Metadata(dir));
  assert.equal(texts.length, 47);
  for (const [index, text] of texts.entries()) {
    const ids = lines[index]!.split(" ").filter((id) => id !== "").map(Number);
    assert.deepEqual(tokenizer.encode(text), ids, JSON.stringify(text));
    assert.equal(tokenizer.decode(ids), text);
  }
  assert.deepEqual(tokenizer.eosIds, [50256]);
  assert.deepEqual([...tokenizer.specialIds], [50256]);
});

sharedTest("ggufTokenizer() encodes as stories260K's tokenizer", "models/stories260K", (dir) => {
  const { tokenizer: expected } = subjectOf(dir);
  const { text } = JSON.parse(Deno.readTextFileSync(`${dir}/expected_greedy.json`));
  const { model } = JSON.parse(Deno.readTextFileSync(`${dir}/tokenizer.json`));
  const rank = new Map<string, number>();
  for (const [at, merge] of (model.merges as [string, string][]).entries()) {
    if (!rank.has(merge.join(""))) rank.set(merge.join(""), at);
  }
  const pieces = Object.entries<number>(model.vocab).sort(([, a], [, b]) => a - b)
    .map(([token, id]) => ({
      token,
      score: rank.has(token) ? -rank.get(token)! : -1e6,
      type: id === 0 ? kind.unknown : id < 3 ? kind.control : id < 259 ? kind.byte : kind.normal,
    }));
  const tokenizer = load(spmMetadata(pieces));
  for (const sample of [text, "", " ", "  a\n\n b", "naïve 🙂 text", "<s> x</s>", "\u2581"]) {
    assert.deepEqual(tokenizer.encode(sample), expected.encode(sample), JSON.stringify(sample));
    const ids = tokenizer.encode(sample);
    assert.equal(tokenizer.decode(ids), expected.decode(ids));
  }
  assert.equal(tokenizer.bosId, 1);
  assert.deepEqual(tokenizer.specialTokens, expected.specialTokens);
});

sharedTest(
  "ggufTokenizer() encodes Mistral's golden conversation",
  "data/mistral-tokenizer",
  (dir) => {
    const tokenizer = load(sentencePieceMetadata(`${dir}/tokenizer.model.v1`));
    const sample = `${dir}/samples/no_tools`;
    const { tokens } = JSON.parse(Deno.readTextFileSync(`${sample}/tokens_v1.json`));
    const text = Deno.readTextFileSync(`${sample}/text_v1.txt`).trimEnd();
    // Every section between special tokens begins with the space that the tokenizer adds itself.
    const stripped = text.replaceAll(/<\/?s>\u2581/g, (mark) => mark.slice(0, -1))
      .replaceAll("\u2581", " ");
    assert.deepEqual(tokenizer.encode(stripped, { addSpecialTokens: false }), tokens);
    assert.equal(tokenizer.vocabSize, 32000);
    assert.deepEqual(tokenizer.encode("hi").slice(0, 1), [1]);
    assert.equal(
      tokenizer.decode(tokenizer.encode("naïve 🙂 \t text"), { skipSpecialTokens: true }),
      "naïve 🙂 \t text",
    );
  },
);

Deno.test("ggufTokenizer() cuts text as each pre-tokenizer does", () => {
  const words = ["1", "12", "123", "1234", "Hello", "'", "'S", "hell", "hellO", "HELlo", "Ġ", "Ġ1"];
  const cuts = (pre: string, text: string) => {
    const tokenizer = load(byteLevelMetadata(pre, words));
    return tokenizer.encode(text, { addSpecialTokens: false })
      .map((id) => tokenizer.tokenText(id)).join("|");
  };
  assert.equal(cuts("gpt-2", "1234"), "1234");
  assert.equal(cuts("gpt-2", " 1"), "Ġ1");
  assert.equal(cuts("llama-bpe", "1234"), "123|4");
  assert.equal(cuts("llama-bpe", " 1"), "Ġ|1");
  assert.equal(cuts("llama-bpe", "'S"), "'S");
  assert.equal(cuts("gpt-2", "'S"), "'|S");
  assert.equal(cuts("qwen2", "1234"), "1|2|3|4");
  assert.equal(cuts("smollm", "1234"), "1|2|3|4");
  assert.equal(cuts("default", "1234"), "123|4");
  assert.equal(cuts("tekken", "HELlo"), "HELlo");
  assert.equal(cuts("tekken", "hellO"), "hell|O");
  assert.equal(cuts("gpt-2", "hellO"), "hellO");
  assert.equal(cuts("gpt-4o", "1234"), "123|4");
});

Deno.test("ggufTokenizer() frames texts as the file says", () => {
  const metadata = byteLevelMetadata("gpt-2", ["a", "b"]);
  metadata.set("tokenizer.ggml.eos_token_id", 1);
  assert.deepEqual(load(metadata).encode("a"), [0]);
  metadata.set("tokenizer.ggml.add_bos_token", true);
  assert.deepEqual(load(metadata).encode("a"), [0, 0]);
  metadata.set("tokenizer.ggml.add_eos_token", true);
  assert.deepEqual(load(metadata).encode("a"), [0, 0, 1]);
  metadata.set("tokenizer.ggml.pre", "llama-bpe");
  metadata.delete("tokenizer.ggml.add_bos_token");
  assert.deepEqual(load(metadata).encode("a"), [0, 0, 1]);
});

Deno.test("ggufTokenizer() leaves the leading space out when the file says so", () => {
  const pieces = ["<unk>", "<s>", "</s>", "\u2581", "a", "\u2581a", "<0x62>"].map((token, id) => ({
    token,
    score: -id,
    type: [kind.unknown, kind.control, kind.control][id] ?? (id === 6 ? kind.byte : kind.normal),
  }));
  const metadata = spmMetadata(pieces);
  assert.deepEqual(load(metadata).encode("a ab"), [1, 5, 5, 6]);
  assert.equal(load(metadata).decode([5, 5, 6]), "a ab");
  metadata.set("tokenizer.ggml.add_space_prefix", false);
  assert.deepEqual(load(metadata).encode("a ab"), [1, 4, 5, 6]);
  assert.equal(load(metadata).decode([5, 5, 6]), " a ab");
});

Deno.test("ggufTokenizer() keeps user-defined tokens whole and not special", () => {
  const metadata = byteLevelMetadata("qwen2", ["a", "<tool>"]);
  const tokens = metadata.get("tokenizer.ggml.tokens") as string[];
  const types = tokens.map((token) => token === "<tool>" ? kind.userDefined : kind.normal);
  metadata.set("tokenizer.ggml.token_type", types);
  metadata.set("tokenizer.ggml.merges", []);
  const tokenizer = load(metadata);
  const id = tokens.indexOf("<tool>");
  assert.deepEqual(tokenizer.encode("a<tool>"), [0, id]);
  assert.equal(tokenizer.specialIds.has(id), false);
});

Deno.test("ggufTokenizer() hands over chat templates", () => {
  const metadata = byteLevelMetadata("gpt-2", ["a"]);
  const template = (at?: string) =>
    findChatTemplate(ggufTokenizer(metadata).tokenizerConfig, undefined, at);
  assert.equal(template(), undefined);
  metadata.set("tokenizer.chat_template", "{{ messages[0].content }}!");
  assert.equal(createChatTemplate(template()!).render([{ role: "user", content: "a" }]), "a!");
  metadata.set("tokenizer.chat_template.tool_use", "tools");
  assert.equal(template("tool_use"), "tools");
  assert.equal(template(), "{{ messages[0].content }}!");
});

Deno.test("ggufTokenizer() refuses what it cannot convert", () => {
  const metadata = byteLevelMetadata("gpt-2", ["a", "ab"]);
  const changed = (key: string, value: unknown) =>
    new Map(metadata).set(`tokenizer.ggml.${key}`, value);
  assertRefused(changed("model", "bert"), "Unsupported", "bert");
  assertRefused(changed("pre", "unheard-of"), "Unsupported", "unheard-of");
  assertRefused(changed("tokens", "a"), "InvalidTokenizer", "tokens");
  assertRefused(changed("token_type", [1]), "InvalidTokenizer", "token_type");
  assertRefused(changed("merges", ["ab"]), "InvalidTokenizer", "ab");
  assertRefused(changed("bos_token_id", "x"), "InvalidTokenizer", "bos_token_id");
  assertRefused(
    changed("bos_token_id", 99).set("tokenizer.ggml.add_bos_token", true),
    "InvalidTokenizer",
    "99",
  );
  assertRefused(changed("model", "llama"), "InvalidTokenizer", "scores");
  const long = spmMetadata([{ token: "x".repeat(1 << 16), score: 0, type: kind.normal }]);
  assertRefused(long, "InvalidTokenizer", "65536");
  assert.deepEqual(ggufTokenizer(new Map()), {
    tokenizerJson: undefined,
    tokenizerConfig: undefined,
  });
});
