import assert from "node:assert/strict";
import fc from "fast-check";
import { DTYPE_BITS, FormatError, parseSafetensorsHeader } from "../../../kernels/formats/mod.ts";
import { assertRefused } from "./support.ts";

const encode = (header: unknown) => new TextEncoder().encode(JSON.stringify(header));
const parse = (header: unknown, dataLength: number) =>
  parseSafetensorsHeader(encode(header), dataLength, "a.safetensors");
const f32 = (shape: number[], begin: number, end: number) => ({
  dtype: "F32",
  shape,
  data_offsets: [begin, end],
});

Deno.test("parseSafetensorsHeader() places tensors, scalars and empty ones", () => {
  const tensors = parse({
    __metadata__: { format: "pt" },
    b: f32([2], 4, 12),
    a: f32([], 0, 4),
    none: f32([0, 5], 4, 4),
    i: { dtype: "I64", shape: [1], data_offsets: [12, 20] },
  }, 20);
  assert.deepEqual([...tensors.keys()], ["b", "a", "none", "i"]);
  assert.deepEqual(tensors.get("b"), { dtype: "f32", shape: [2], byteLength: 8, begin: 4 });
  assert.equal(tensors.get("i")?.dtype, "i64");
  assert.equal(parse({}, 0).size, 0);
});

Deno.test("parseSafetensorsHeader() refuses lies with one line", () => {
  const lies: [header: unknown, dataLength: number, mention: string][] = [
    [[], 0, "begin with {"],
    [{ a: 1 }, 4, '"a"'],
    [{ a: { dtype: "F31", shape: [1], data_offsets: [0, 4] } }, 4, "F31"],
    [{ a: { dtype: "F32", shape: [-1], data_offsets: [0, 4] } }, 4, "-1"],
    [{ a: { dtype: "F32", shape: [0.5], data_offsets: [0, 2] } }, 2, "0.5"],
    [{ a: { dtype: "F32", shape: [1], data_offsets: [0] } }, 4, "data_offsets"],
    [{ a: { dtype: "F32", shape: [1], data_offsets: [0, 4], more: 1 } }, 4, "more"],
    [{ a: { ...f32([1], 0, 4), "x\ny": 1 } }, 4, "x y"],
    [{ a: f32([2], 0, 4) }, 4, "[2] of F32"],
    [{ a: f32([1], 4, 0) }, 4, "4 to 0"],
    [{ a: f32([2 ** 30, 2 ** 30], 0, 4) }, 4, "does not fill"],
    [{ a: { dtype: "F4", shape: [1], data_offsets: [0, 1] } }, 1, "does not fill"],
    [{ a: f32([2], 0, 8), b: f32([1], 4, 8) }, 8, "overlaps"],
    [{ a: f32([1], 0, 4), b: f32([1], 0, 4) }, 4, "overlaps"],
    [{ a: f32([1], 0, 4), b: f32([1], 8, 12) }, 12, "hole"],
    [{ a: f32([1], 4, 8) }, 8, "hole"],
    [{ a: f32([1], 0, 4) }, 6, "2 bytes follow"],
    [{ __metadata__: { a: 1 } }, 0, "__metadata__"],
  ];
  for (const [header, dataLength, mention] of lies) {
    assertRefused(() => parse(header, dataLength), "InvalidHeader", mention);
  }
  assertRefused(() => parse({ a: f32([1], 0, 4) }, 3), "Truncated", "1 of 4 bytes");
});

Deno.test("parseSafetensorsHeader() throws nothing but FormatError on random input", () => {
  const offset = fc.oneof(fc.nat(64), fc.integer(), fc.double(), fc.constant("4"));
  const dtype = fc.oneof(fc.constantFrom(...Object.keys(DTYPE_BITS)), fc.string());
  const entry = fc.record({
    dtype,
    shape: fc.oneof(fc.array(fc.oneof(fc.nat(8), fc.integer())), fc.anything()),
    data_offsets: fc.oneof(fc.tuple(offset, offset), fc.anything()),
  }, { requiredKeys: [] });
  const header = fc.dictionary(fc.string(), fc.oneof(entry, fc.jsonValue()));
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 64 }),
    header.map((value) => encode(value)),
    fc.tuple(header, fc.nat(), fc.nat(255)).map(([value, at, byte]) =>
      mutate(encode(value), at, byte)
    ),
  );
  fc.assert(fc.property(bytes, fc.nat(128), onlyFormatErrors), { seed: 3, numRuns: 2000 });
});

Deno.test("parseSafetensorsHeader() accepts what it should of mutated valid headers", () => {
  const valid = { a: f32([2, 3], 0, 24), "b.c": f32([1], 24, 28), __metadata__: { k: "v" } };
  const change = fc.tuple(fc.nat(encode(valid).length - 1), fc.nat(255));
  const mutated = fc.array(change, { minLength: 1, maxLength: 3 }).map((changes) =>
    changes.reduce<Uint8Array>((bytes, [at, byte]) => mutate(bytes, at, byte), encode(valid))
  );
  fc.assert(fc.property(mutated, fc.constant(28), onlyFormatErrors), { seed: 5, numRuns: 100_000 });
});

function mutate(bytes: Uint8Array, at: number, byte: number): Uint8Array {
  bytes[at % bytes.length] = byte;
  return bytes;
}

/** Either tensors that cover the data exactly, or a FormatError of one line. */
function onlyFormatErrors(bytes: Uint8Array, dataLength: number): void {
  try {
    const tensors = [...parseSafetensorsHeader(bytes, dataLength, "a.safetensors").values()];
    assert.equal(tensors.reduce((sum, { byteLength }) => sum + byteLength, 0), dataLength);
    assert(
      tensors.every(({ begin, byteLength }) => begin >= 0 && begin + byteLength <= dataLength),
    );
  } catch (error) {
    assert(error instanceof FormatError, String(error));
    assert(!error.message.includes("\n") && error.message.length < 600, error.message);
  }
}
