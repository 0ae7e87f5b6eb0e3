import assert from "node:assert/strict";
import fc from "fast-check";
import { createDetokenizer, type TokenText } from "../../../kernels/text/mod.ts";
import { sharedTest } from "../../support/shared.ts";
import { gpt2TokenizerJson, type Subject, subject, subjectOf } from "./support.ts";

const RUNS = { seed: 20, numRuns: 300 };

function stream(tokenizer: TokenText, ids: readonly number[], skipSpecialTokens = false): string[] {
  const detokenizer = createDetokenizer(tokenizer, { skipSpecialTokens });
  return [...ids.map((id) => detokenizer.push(id)), detokenizer.flush()];
}

function checkRandomIds({ tokenizer, decodeWhole }: Subject): void {
  const ids = fc.array(fc.nat(tokenizer.vocabSize - 1), { maxLength: 60 });
  fc.assert(
    fc.property(ids, fc.boolean(), (ids, skip) => {
      const whole = decodeWhole(
        skip ? ids.filter((id) => !tokenizer.specialIds.has(id)) : ids,
        false,
      );
      assert.equal(stream(tokenizer, ids, skip).join(""), whole);
      assert.equal(tokenizer.decode(ids, { skipSpecialTokens: skip }), whole);
    }),
    RUNS,
  );
}

function checkRandomText({ tokenizer }: Subject): void {
  const text = fc.string({ unit: "grapheme", maxLength: 30 })
    .filter((text) => !text.includes("\ufffd"));
  fc.assert(
    fc.property(text, (text) => {
      const ids = tokenizer.encode(text, { addSpecialTokens: false });
      const pieces = stream(tokenizer, ids);
      assert.equal(pieces.join(""), text);
      assert(pieces.every((piece) => piece.isWellFormed() && !piece.includes("\ufffd")));
    }),
    RUNS,
  );
}

const subjects: [name: string, path: string, load: (path: string) => Subject][] = [
  ["the zoo", "models/zoo/small", subjectOf],
  ["stories260K", "models/stories260K", subjectOf],
  ["GPT-2", "data/gpt2-tokenizer", (dir) => subject(gpt2TokenizerJson(dir))],
];

for (const [name, path, load] of subjects) {
  sharedTest(`createDetokenizer() joins to the whole decode with ${name}`, path, (dir) => {
    checkRandomIds(load(dir));
  });
  sharedTest(`createDetokenizer() never splits a character with ${name}`, path, (dir) => {
    checkRandomText(load(dir));
  });
}

sharedTest("createDetokenizer() holds a character until it is whole", "models/zoo/small", (dir) => {
  const { tokenizer } = subjectOf(dir);
  const bytes = [...new TextEncoder().encode("a😀b")];
  assert.deepEqual(stream(tokenizer, bytes), ["a", "", "", "", "😀", "b", ""]);
  assert.deepEqual(stream(tokenizer, bytes.slice(0, 3)), ["a", "", "", "\ufffd"]);
});

sharedTest(
  "createDetokenizer() keeps a leading space when it continues",
  "models/stories260K",
  (dir) => {
    const { tokenizer } = subjectOf(dir);
    const the = 265;
    const begins = createDetokenizer(tokenizer);
    assert.deepEqual([begins.push(the), begins.push(the), begins.flush()], ["the", " the", ""]);
    const continues = createDetokenizer(tokenizer, { continues: true });
    assert.deepEqual([continues.push(the), continues.push(the)], [" the", " the"]);
    assert.equal(begins.push(the), "the");
  },
);

Deno.test("createDetokenizer() reads Metaspace vocabularies", () => {
  const json = {
    model: { type: "Unigram", unk_id: 0, vocab: [["<unk>", 0], ["\u2581a", -1], ["b", -2]] },
    decoder: { type: "Metaspace", replacement: "\u2581", prepend_scheme: "always" },
    added_tokens: [],
    normalizer: null,
    pre_tokenizer: null,
    post_processor: null,
  };
  checkRandomIds(subject(json));
  assert.equal(subject(json).tokenizer.decode([1, 2, 1]), "ab a");
});

Deno.test("createDetokenizer() gives no text for ids without a token", () => {
  const none: TokenText = {
    specialIds: new Set(),
    leadingSpaces: 0,
    tokenBytes: () => new Uint8Array(),
  };
  assert.deepEqual(stream(none, [1, 2, 3]), ["", "", "", ""]);
});
