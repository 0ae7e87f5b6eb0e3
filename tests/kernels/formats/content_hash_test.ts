import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { openSafetensors, writeSafetensors } from "../../../kernels/formats/mod.ts";
import { pattern, withFolder } from "./support.ts";

async function hashOf(paths: string | string[]): Promise<string> {
  const source = openSafetensors(paths);
  try {
    return await source.hash();
  } finally {
    source.close();
  }
}

Deno.test("hash() is the sha256 of lengths and bytes of a small checkpoint", async () => {
  await withFolder(async (dir) => {
    const path = `${dir}/model.safetensors`;
    writeSafetensors(path, [{ name: "w", dtype: "u8", shape: [1000], data: pattern(1000) }]);
    const bytes = Deno.readFileSync(path);
    const expected = createHash("sha256").update(`${bytes.length}\n`).update(bytes).digest("hex");
    assert.equal(await hashOf(path), `sha256:${expected}`);
  });
});

Deno.test("hash() is equal for a copy and differs by one byte", async () => {
  await withFolder(async (dir) => {
    const data = pattern(1000);
    const write = (name: string) => {
      writeSafetensors(`${dir}/${name}`, [{ name: "w", dtype: "u8", shape: [1000], data }]);
      return hashOf(`${dir}/${name}`);
    };
    const original = await write("a");
    assert.equal(await write("b"), original);
    data[500]! ^= 1;
    assert.notEqual(await write("c"), original);
  });
});

Deno.test("hash() samples a checkpoint of 256 MiB and more", async () => {
  await withFolder(async (dir) => {
    const path = `${dir}/model.safetensors`;
    const bytes = 300 << 20;
    const header = JSON.stringify({ w: { dtype: "U8", shape: [bytes], data_offsets: [0, bytes] } });
    Deno.writeFileSync(path, new Uint8Array(new BigUint64Array([BigInt(header.length)]).buffer));
    Deno.writeTextFileSync(path, header, { append: true });
    const dataStart = 8 + header.length;
    Deno.truncateSync(path, dataStart + bytes);
    const original = await hashOf(path);
    assert.match(original, /^sha256-sampled:[0-9a-f]{64}$/);
    await flip(path, dataStart + bytes - 1);
    const changed = await hashOf(path);
    assert.notEqual(changed, original);
    await flip(path, dataStart + (64 << 20));
    assert.equal(await hashOf(path), changed);
  });
});

async function flip(path: string, position: number): Promise<void> {
  using file = await Deno.open(path, { read: true, write: true });
  await file.seek(position, Deno.SeekMode.Start);
  await file.write(Uint8Array.of(0xff));
}
