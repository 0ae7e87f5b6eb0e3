import assert from "node:assert/strict";
import { decode as decodeMsgpack } from "@msgpack/msgpack";
import fc from "fast-check";
import { CodecError, decode, encode, type WireTensor } from "../../runtime/mod.ts";

const arrays = fc.oneof(
  fc.float32Array(),
  fc.float64Array(),
  fc.int8Array(),
  fc.uint8Array(),
  fc.int16Array(),
  fc.uint16Array(),
  fc.int32Array(),
  fc.uint32Array(),
  fc.bigInt64Array(),
  fc.bigUint64Array(),
);

const tensors = fc.tuple(fc.nat(12), fc.nat(12), fc.constantFrom("f32", "bf16", "u8", "f16")).map(
  ([rows, columns, dtype]): WireTensor => {
    const types = { f32: Float32Array, bf16: Uint16Array, u8: Uint8Array, f16: Float16Array };
    const data = new types[dtype as keyof typeof types](rows * columns).fill(3);
    return { dtype: dtype as WireTensor["dtype"], shape: [rows, columns], data };
  },
);

const leaf = fc.oneof(
  fc.constant(null),
  fc.boolean(),
  fc.double(),
  fc.integer(),
  fc.maxSafeInteger(),
  fc.bigInt(-(2n ** 63n), 2n ** 63n - 1n),
  fc.string({ unit: "grapheme" }),
  arrays,
  tensors,
);

const key = fc.string({ unit: "grapheme" }).filter((text) => text !== "__proto__");

const values = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    leaf,
    fc.array(tie("value"), { maxLength: 6 }),
    fc.dictionary(key, tie("value"), { maxKeys: 6, noNullPrototype: true }),
  ),
})).value;

/** Decodes, and answers the code of the `CodecError` if there is one; any other error escapes. */
function codeOf(bytes: Uint8Array): string | null {
  try {
    decode(bytes);
    return null;
  } catch (error) {
    if (error instanceof CodecError) return error.code;
    throw error;
  }
}

Deno.test("decode() gives back what encode() was given", () => {
  fc.assert(fc.property(values, (value) => assert.deepEqual(decode(encode(value)), value)));
});

Deno.test("encode() writes headers that any reader of msgpack understands", () => {
  const plain = fc.jsonValue().filter((value) => !JSON.stringify(value).includes("__proto__"));
  fc.assert(fc.property(plain, (value) => {
    const frame = encode(value);
    const length = new DataView(frame.buffer, frame.byteOffset).getUint32(0, true);
    assert.deepEqual(decodeMsgpack(frame.subarray(5, 4 + length)), value);
  }));
});

Deno.test("encode() carries texts of every length", () => {
  for (const length of [0, 1, 31, 32, 63, 64, 65, 255, 256, 21_845, 65_535, 65_536, 70_000]) {
    for (const unit of ["a", "é", "語", "🦀"]) {
      const text = unit.repeat(length);
      assert.equal(decode(encode(text)), text);
    }
  }
});

Deno.test("decode() gives aligned views, even of bytes that are not", () => {
  fc.assert(fc.property(tensors, fc.nat(15), (tensor, shift) => {
    const frame = encode({ tensor });
    const moved = new Uint8Array(frame.length + shift);
    moved.set(frame, shift);
    const decoded = decode(moved.subarray(shift)) as { tensor: WireTensor };
    assert.deepEqual(decoded.tensor, tensor);
    assert.equal(decoded.tensor.data.byteOffset % 8, 0);
  }));
});

Deno.test("encode() reads tensors in shared memory and in the middle of a buffer", () => {
  const shared = new Float32Array(new SharedArrayBuffer(64), 4, 3);
  shared.set([1, 2, 3]);
  const tensor = { dtype: "f32", shape: [3], data: shared };
  const { data } = decode(encode(tensor)) as WireTensor;
  assert.deepEqual([...data], [1, 2, 3]);
});

Deno.test("decode() throws nothing but CodecError on random bytes", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      codeOf(bytes);
      const framed = new Uint8Array(4 + 1 + bytes.length);
      new DataView(framed.buffer).setUint32(0, 1 + bytes.length, true);
      framed.set([2], 4);
      framed.set(bytes, 5);
      codeOf(framed);
    }),
    { numRuns: 2000 },
  );
});

Deno.test("decode() refuses every truncation", () => {
  fc.assert(fc.property(values, fc.nat(), (value, cut) => {
    const frame = encode(value);
    assert.notEqual(codeOf(frame.subarray(0, cut % frame.length)), null);
  }));
});

Deno.test("decode() survives every bit flip, and catches those in tensors", () => {
  const data = Float32Array.from({ length: 64 }, (_, i) => i);
  const frame = encode({ id: 7, tensor: { dtype: "f32", shape: [8, 8], data } });
  const blocks = frame.length - data.byteLength;
  fc.assert(fc.property(fc.nat(frame.length * 8 - 1), (bit) => {
    const flipped = frame.slice();
    flipped[bit >> 3]! ^= 1 << (bit & 7);
    const code = codeOf(flipped);
    if (bit >> 3 >= blocks) assert.equal(code, "Checksum");
  }));
});

Deno.test("decode() refuses what would cost more memory than it is worth", () => {
  const hostile = (header: number[]) => {
    const frame = new Uint8Array(8 * Math.ceil((4 + header.length) / 8));
    new DataView(frame.buffer).setUint32(0, header.length, true);
    frame.set(header, 4);
    return frame;
  };
  const nested = Array.from({ length: 100_000 }, () => 0x91);
  assert.equal(codeOf(hostile([2, ...nested, 0xc0])), "TooDeep");
  assert.equal(codeOf(hostile([2, 0xdd, 0x7f, 0xff, 0xff, 0xff])), "Malformed");
  assert.equal(codeOf(hostile([2, 0xdf, 0x7f, 0xff, 0xff, 0xff])), "Malformed");
  assert.equal(codeOf(hostile([2, 0xdb, 0xff, 0xff, 0xff, 0xff])), "Malformed");
  assert.equal(
    codeOf(hostile([2, 0xc7, 9, 2, 1, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff])),
    "Malformed",
  );
  assert.equal(
    codeOf(hostile([2, 0xc7, 13, 1, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0])),
    "Malformed",
  );
  assert.equal(codeOf(hostile([9, 0xc0])), "Unsupported");
  assert.throws(() => decode(encode("x".repeat(100)), { bytes: 50 }), { code: "TooLarge" });
});

Deno.test("encode() refuses what is no plain data", () => {
  for (const value of [new Map(), new Date(), () => 1, Symbol("x"), new Uint8ClampedArray(1)]) {
    assert.throws(() => encode({ value }), { name: "CodecError", code: "Unsupported" });
  }
  let deep: unknown = 0;
  for (let level = 0; level < 100; level++) deep = [deep];
  assert.throws(() => encode(deep), { name: "CodecError", code: "TooDeep" });
  assert.throws(() => encode(new Uint8Array(100), { bytes: 50 }), { code: "TooLarge" });
});
