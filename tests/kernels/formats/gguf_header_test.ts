import assert from "node:assert/strict";
import { FormatError, ggmlType } from "../../../kernels/formats/mod.ts";
import { randomIntegers } from "../../support/random.ts";
import { encodeGguf, list, parseBytes, text, u32, validGguf as valid } from "./gguf_support.ts";
import { assertRefused } from "./support.ts";

const { tensors: [matrix] } = valid;

Deno.test("parseGgufHeader() reads values and places tensors", () => {
  const bytes = encodeGguf(valid);
  for (const version of [2, 3]) {
    const { metadata, tensors, dataStart } = parseBytes(encodeGguf({ ...valid, version }));
    assert.deepEqual(Object.fromEntries(metadata), {
      "general.architecture": "llama",
      "a.flag": true,
      "a.float": 0.5,
      "a.long": 2n ** 60n,
      "a.short": -5,
      "a.words": ["x", "ŷ", ""],
      "a.nested": [[1, 2], []],
    });
    assert.equal(dataStart, bytes.length - matrix.data.length - 16 - 32);
    assert.deepEqual([...tensors], [
      ["token_embd.weight", { dtype: "q8_0", shape: [4, 64], byteLength: 272, begin: dataStart }],
      ["norm", { dtype: "f32", shape: [8], byteLength: 32, begin: dataStart + 288 }],
    ]);
  }
});

Deno.test("parseGgufHeader() reads vocabularies of 300,000 tokens", () => {
  const tokens = Array.from({ length: 300_000 }, (_, id) => `token${id}`);
  const scores = tokens.map((_, id) => -id);
  const metadata = { tokens: list(8, tokens), scores: list(6, scores) };
  const header = parseBytes(encodeGguf({ metadata }));
  assert.deepEqual(header.metadata.get("tokens"), tokens);
  assert.deepEqual(header.metadata.get("scores"), scores);
});

Deno.test("parseGgufHeader() refuses lies with one line", () => {
  const claim = (change: object) => () => parseBytes(encodeGguf({ ...valid, ...change }));
  const tensor = (change: object) => claim({ tensors: [{ ...matrix, ...change }] });
  const bytes = encodeGguf(valid);
  const counts = (at: number, count: bigint) => {
    const copy = bytes.slice();
    new DataView(copy.buffer).setBigUint64(at, count, true);
    return () => parseBytes(copy);
  };
  assertRefused(() => parseBytes(new Uint8Array()), "Truncated", "test.gguf");
  assertRefused(() => parseBytes(bytes.slice(0, 100)), "Truncated", "byte 100");
  assertRefused(() => parseBytes(bytes.slice(0, -32)), "Truncated", "norm");
  assertRefused(() => parseBytes(new Uint8Array(64)), "InvalidHeader", "GGUF");
  assertRefused(claim({ version: 1 }), "Unsupported", "version 1");
  assertRefused(claim({ version: 0x3000000 }), "Unsupported", "big-endian");
  assertRefused(counts(8, 2n ** 63n), "InvalidHeader", "count of tensors");
  assertRefused(counts(16, 2n ** 40n), "InvalidHeader", "count of metadata keys");
  assertRefused(counts(24, 2n ** 40n), "InvalidHeader", "length of metadata key");
  const alignment = (value: number) => claim({ metadata: { "general.alignment": u32(value) } });
  assertRefused(alignment(0), "InvalidHeader", "general.alignment");
  assertRefused(alignment(24), "InvalidHeader", "general.alignment");
  assertRefused(claim({ metadata: { a: text(Uint8Array.of(0xff)) } }), "InvalidHeader", "UTF-8");
  assertRefused(tensor({ dims: [] }), "InvalidHeader", "0 dimensions");
  assertRefused(tensor({ dims: [1, 1, 1, 1, 1] }), "InvalidHeader", "5 dimensions");
  assertRefused(tensor({ dims: [0, 4] }), "InvalidHeader", "shape [0,4]");
  assertRefused(tensor({ dims: [48, 4] }), "InvalidHeader", "q8_0");
  assertRefused(tensor({ dims: [2 ** 40, 2 ** 40] }), "InvalidHeader", "token_embd.weight");
  assertRefused(tensor({ dims: [64, 5000] }), "Truncated", "token_embd.weight");
  assertRefused(tensor({ type: 4 }), "Unsupported", "ggml type");
  assertRefused(tensor({ type: 1000 }), "Unsupported", "1000");
  assertRefused(tensor({ offset: 8 }), "InvalidHeader", "aligned");
  assertRefused(tensor({ offset: 2 ** 40 }), "Truncated", "token_embd.weight");
  const again = { ...matrix, name: "other", offset: 0 };
  assertRefused(claim({ tensors: [matrix, again] }), "InvalidHeader", "overlaps");
  assertRefused(claim({ tensors: [matrix, matrix] }), "InvalidHeader", "twice");
});

Deno.test("parseGgufHeader() bounds arrays before it reads them", () => {
  const array = (type: number, length: bigint) => {
    const bytes = encodeGguf({ metadata: { a: list(type, []) } });
    const at = bytes.length - bytes.length % 32;
    const copy = new Uint8Array(at + 64);
    copy.set(bytes);
    // Magic, version and counts, then the key, two types and the length.
    new DataView(copy.buffer).setBigUint64(24 + 9 + 8, length, true);
    return () => parseBytes(copy);
  };
  assertRefused(array(8, 2n ** 62n), "InvalidHeader", "elements");
  assertRefused(array(0, 1n << 25n), "InvalidHeader", "elements");
  assertRefused(array(77, 0n), "InvalidHeader", "unknown type 77");
  let nested: [number, unknown[]] = [4, []];
  for (let depth = 0; depth < 5; depth++) nested = [9, [nested]];
  const deep = encodeGguf({ metadata: { a: [9, nested] } });
  assertRefused(() => parseBytes(deep), "InvalidHeader", "deeply");
});

Deno.test("parseGgufHeader() throws nothing but FormatError on mutated headers", () => {
  const random = randomIntegers(11);
  const bytes = encodeGguf(valid);
  const specials = [0, 1, 7, 8, 9, 0x7f, 0x80, 0xff];
  let accepted = 0;
  for (let round = 0; round < 100_000; round++) {
    const copy = bytes.slice(0, random(10) === 0 ? random(bytes.length) : undefined);
    const changes = 1 + random(4);
    for (let i = 0; i < changes && copy.length > 0; i++) {
      const at = random(Math.min(copy.length, 600));
      copy[at] = random(2) === 0 ? specials[random(specials.length)]! : random(256);
    }
    try {
      const { tensors } = parseBytes(copy);
      for (const { begin, byteLength } of tensors.values()) {
        assert(begin + byteLength <= copy.length);
      }
      accepted++;
    } catch (error) {
      assert(error instanceof FormatError, String(error));
      assert(error.message.length < 500 && !error.message.includes("\n"), error.message);
    }
  }
  assert(accepted > 1000 && accepted < 99_000, String(accepted));
});

Deno.test("ggmlType() knows block sizes", () => {
  assert.deepEqual(ggmlType(12), { dtype: "q4_k", elements: 256, bytes: 144 });
  assert.deepEqual(ggmlType(14), { dtype: "q6_k", elements: 256, bytes: 210 });
  assert.deepEqual(ggmlType(2), { dtype: "q4_0", elements: 32, bytes: 18 });
  assert.equal(ggmlType(4), undefined);
});
