import assert from "node:assert/strict";
import { FormatError, type FormatErrorCode } from "../../../kernels/formats/mod.ts";

/** Runs `body` with a folder that is removed afterwards. */
export async function withFolder(body: (dir: string) => void | Promise<void>): Promise<void> {
  const dir = await Deno.makeTempDir();
  try {
    await body(dir);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

/** Asserts that `body` throws a one-line {@link FormatError} of this code that mentions `mention`. */
export function assertRefused(body: () => unknown, code: FormatErrorCode, mention: string): void {
  assert.throws(body, (error) => {
    assert(error instanceof FormatError, String(error));
    assert.equal(error.code, code, error.message);
    assert(error.message.includes(mention), error.message);
    assert(!error.message.includes("\n"));
    return true;
  });
}

/** A safetensors file: header length, header, data. */
export function safetensors(header: string | object, dataLength: number): Uint8Array {
  const json = new TextEncoder().encode(
    typeof header === "string" ? header : JSON.stringify(header),
  );
  const bytes = new Uint8Array(8 + json.length + dataLength);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(json.length), true);
  bytes.set(json, 8);
  return bytes;
}

/** Bytes that differ from place to place. */
export function pattern(length: number, seed = 1): Uint8Array {
  return Uint8Array.from({ length }, (_, index) => (index * 31 + seed * 17) & 0xff);
}
