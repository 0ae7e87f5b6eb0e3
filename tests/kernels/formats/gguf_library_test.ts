import assert from "node:assert/strict";
import { gguf } from "@huggingface/gguf";
import { encodeGguf, parseBytes, validGguf } from "./gguf_support.ts";
import { withFolder } from "./support.ts";

Deno.test("parseGgufHeader() agrees with the library of the field", async () => {
  await withFolder(async (dir) => {
    Deno.writeFileSync(`${dir}/model.gguf`, encodeGguf(validGguf));
    const expected = await gguf(`${dir}/model.gguf`, { allowLocalFile: true });
    const metadata = new Map<string, unknown>(Object.entries(expected.metadata));
    const found = parseBytes(encodeGguf(validGguf));
    for (const [key, value] of found.metadata) {
      assert.deepEqual(value, metadata.get(key), key);
    }
    assert.equal(BigInt(found.dataStart), expected.tensorDataOffset);
    for (const { name, shape, offset } of expected.tensorInfos) {
      const tensor = found.tensors.get(name)!;
      assert.deepEqual(tensor.shape.toReversed().map(BigInt), shape);
      assert.equal(BigInt(tensor.begin - found.dataStart), offset);
    }
  });
});
