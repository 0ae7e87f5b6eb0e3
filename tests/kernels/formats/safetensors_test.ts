import assert from "node:assert/strict";
import fc from "fast-check";
import {
  openSafetensors,
  openWeights,
  readFloat32,
  type TensorToWrite,
  weightInfo,
  writeSafetensors,
} from "../../../kernels/formats/mod.ts";
import { assertRefused, pattern, safetensors, withFolder } from "./support.ts";

const SIZES = { f32: 4, f16: 2, bf16: 2, i64: 8, u8: 1 } as const;

const tensorArbitrary = fc.record({
  dtype: fc.constantFrom(...Object.keys(SIZES) as (keyof typeof SIZES)[]),
  shape: fc.array(fc.nat(5), { maxLength: 3 }),
});
const tensorsArbitrary = fc.dictionary(fc.string({ minLength: 1 }), tensorArbitrary, { maxKeys: 8 })
  .map((entries) =>
    Object.entries(entries).map(([name, { dtype, shape }], index): TensorToWrite => {
      const length = shape.reduce((product, size) => product * size, SIZES[dtype]);
      return { name, dtype, shape, data: pattern(length, index) };
    })
  );

Deno.test("writeSafetensors() and openWeights() round-trip, sharded or not", async () => {
  await withFolder((dir) => {
    const shardBytes = fc.option(fc.integer({ min: 1, max: 200 }), { nil: undefined });
    fc.assert(
      fc.property(tensorsArbitrary, shardBytes, (tensors, shardBytes) => {
        for (const { name } of Deno.readDirSync(dir)) Deno.removeSync(`${dir}/${name}`);
        const options = shardBytes === undefined || tensors.length === 0 ? {} : { shardBytes };
        writeSafetensors(`${dir}/model.safetensors`, tensors, options);
        checkTensors(dir, tensors);
      }),
      { seed: 11, numRuns: 60 },
    );
  });
});

function checkTensors(dir: string, tensors: TensorToWrite[]): void {
  const source = openWeights(dir);
  try {
    assert.deepEqual([...source.names()].sort(), tensors.map(({ name }) => name).sort());
    for (const { name, dtype, shape, data } of tensors) {
      const info = source.info(name);
      assert.deepEqual([info?.dtype, info?.shape], [dtype, shape]);
      const bytes = new Uint8Array(info?.byteLength ?? 0);
      source.read(name, 0, bytes);
      assert.deepEqual(bytes, data);
    }
  } finally {
    source.close();
  }
}

Deno.test("read() fills a range of shared memory and nothing around it", async () => {
  await withFolder((dir) => {
    const path = `${dir}/model.safetensors`;
    const data = pattern(64);
    const first: TensorToWrite = { name: "first", dtype: "u8", shape: [3], data: pattern(3) };
    const chunks = () => [data.subarray(0, 10), data.subarray(10)];
    writeSafetensors(path, [first, { name: "w", dtype: "f32", shape: [4, 4], data: chunks }]);
    const source = openSafetensors(path);
    const memory = new Uint8Array(new SharedArrayBuffer(32));
    source.read("w", 20, memory.subarray(8, 24));
    assert.deepEqual([...memory], [
      ...new Uint8Array(8),
      ...data.subarray(20, 36),
      ...new Uint8Array(8),
    ]);
    assertRefused(() => source.read("w", 60, new Uint8Array(5)), "OutOfRange", "60 to 65 of 64");
    assertRefused(() => source.read("w", -1, new Uint8Array(1)), "OutOfRange", "-1");
    assertRefused(() => source.read("x", 0, new Uint8Array(1)), "NotFound", '"x"');
    source.close();
    source.close();
    assertRefused(() => source.read("w", 0, new Uint8Array(1)), "Closed", "w");
  });
});

Deno.test("readFloat32() widens f16 and bf16, and refuses other dtypes by name", async () => {
  await withFolder((dir) => {
    const path = `${dir}/model.safetensors`;
    const bytes = (values: ArrayBufferView) => new Uint8Array(values.buffer);
    const values = [1, -2.5, 0, 65504, Infinity];
    const shape = [values.length];
    writeSafetensors(path, [
      { name: "h", dtype: "f16", shape, data: bytes(Float16Array.from(values)) },
      { name: "b", dtype: "bf16", shape: [3], data: bytes(Uint16Array.of(0x3f80, 0xc020, 0x7f80)) },
      { name: "s", dtype: "f32", shape, data: bytes(Float32Array.from(values)) },
      { name: "q", dtype: "f8_e4m3", shape: [1], data: new Uint8Array(1) },
    ]);
    const source = openSafetensors(path);
    assert.deepEqual([...readFloat32(source, "h")], values);
    assert.deepEqual([...readFloat32(source, "b")], [1, -2.5, Infinity]);
    assert.deepEqual([...readFloat32(source, "s")], values);
    assertRefused(() => readFloat32(source, "q"), "Unsupported", "f8_e4m3");
    assertRefused(() => weightInfo(source, "none"), "NotFound", "none");
    source.close();
  });
});

Deno.test("openSafetensors() refuses broken files with one line", async () => {
  await withFolder((dir) => {
    const path = `${dir}/broken.safetensors`;
    const tensor = { a: { dtype: "F32", shape: [2], data_offsets: [0, 8] } };
    const whole = safetensors(tensor, 8);
    const hugeHeader = safetensors("{}", 0);
    new DataView(hugeHeader.buffer).setBigUint64(0, 2n ** 63n, true);
    const longHeader = safetensors("{}", 0);
    new DataView(longHeader.buffer).setBigUint64(0, 1000n, true);
    const broken: [Uint8Array, Parameters<typeof assertRefused>[1], string][] = [
      [new Uint8Array(0), "Truncated", "ends at byte 0"],
      [whole.subarray(0, 5), "Truncated", "ends at byte 5"],
      [whole.subarray(0, 20), "Truncated", "in a file of 20"],
      [whole.subarray(0, whole.length - 3), "Truncated", "3 of 8 bytes"],
      [longHeader, "Truncated", "1000"],
      [hugeHeader, "InvalidHeader", "9223372036854775808"],
      [safetensors("[]", 0), "InvalidHeader", "begin with {"],
      [safetensors("{,}", 0), "InvalidHeader", "JSON"],
      [safetensors(tensor, 9), "InvalidHeader", "1 bytes follow"],
    ];
    for (const [bytes, code, mention] of broken) {
      Deno.writeFileSync(path, bytes);
      assertRefused(() => openSafetensors(path), code, mention);
    }
    assertRefused(() => openSafetensors(`${dir}/none`), "NotFound", "none");
    assertRefused(() => openSafetensors(dir), "NotFound", dir);
  });
});

Deno.test("read() says when a file shrank after it was opened", async () => {
  await withFolder((dir) => {
    const path = `${dir}/model.safetensors`;
    writeSafetensors(path, [{ name: "w", dtype: "u8", shape: [100], data: pattern(100) }]);
    const source = openSafetensors(path);
    Deno.truncateSync(path, Deno.statSync(path).size - 10);
    assertRefused(() => source.read("w", 50, new Uint8Array(50)), "Truncated", path);
    source.close();
  });
});

Deno.test("openSafetensors() refuses one name in two shards", async () => {
  await withFolder((dir) => {
    const tensor: TensorToWrite = { name: "w", dtype: "u8", shape: [1], data: pattern(1) };
    const paths = ["a", "b"].map((file) => `${dir}/${file}.safetensors`);
    for (const path of paths) writeSafetensors(path, [tensor]);
    assertRefused(() => openSafetensors(paths), "Mismatch", '"w" twice');
  });
});

Deno.test("openWeights() refuses an index that disagrees with its shards", async () => {
  await withFolder((dir) => {
    const tensor = (name: string): TensorToWrite => ({
      name,
      dtype: "u8",
      shape: [1],
      data: pattern(1),
    });
    writeSafetensors(`${dir}/a.safetensors`, [tensor("x")]);
    writeSafetensors(`${dir}/b.safetensors`, [tensor("y")]);
    const index = (value: unknown) => {
      Deno.writeTextFileSync(`${dir}/model.safetensors.index.json`, JSON.stringify(value));
      return () => openWeights(dir).close();
    };
    index({ weight_map: { x: "a.safetensors", y: "b.safetensors" } })();
    const refused: [unknown, Parameters<typeof assertRefused>[1], string][] = [
      [{ weight_map: { x: "b.safetensors" } }, "Mismatch", '"x" is not in b.safetensors'],
      [{ weight_map: { z: "a.safetensors" } }, "Mismatch", '"z"'],
      [{ weight_map: { x: "c.safetensors" } }, "NotFound", "c.safetensors"],
      [{ weight_map: { x: "../a.safetensors" } }, "InvalidConfig", "../a.safetensors"],
      [{ weight_map: { x: "/etc/passwd" } }, "InvalidConfig", "/etc/passwd"],
      [{ weight_map: { x: "sub/a.safetensors" } }, "InvalidConfig", "sub/a.safetensors"],
      [{ weight_map: { x: 1 } }, "InvalidConfig", "weight_map"],
      [{ weight_map: {} }, "InvalidConfig", "Cannot find a shard"],
      [[], "InvalidConfig", "received array"],
      [{ weight_map: { "a\nb": 1 } }, "InvalidConfig", "a b"],
    ];
    for (const [value, code, mention] of refused) assertRefused(index(value), code, mention);
  });
});

Deno.test("writeSafetensors() refuses data that does not fill its shape", async () => {
  await withFolder((dir) => {
    const tensor: TensorToWrite = { name: "w", dtype: "f32", shape: [2], data: pattern(7) };
    assert.throws(() => writeSafetensors(`${dir}/a.safetensors`, [tensor]), /7 bytes for 8/);
  });
});
