import { ActorError } from "../errors.ts";
import type { Store } from "./store.ts";

const folder = "tandem";

/** Whether this process can open a Deno KV: it needs `--unstable-kv`. */
export function hasDenoKv(): boolean {
  return typeof Deno.openKv === "function";
}

/**
 * A store of one node in a Deno KV, which the caller closes. Values are at most 64 KiB; larger ones
 * throw `TooLarge`.
 */
export function createDenoKvStore(kv: Deno.Kv): Store {
  const place = (key: string) => [folder, key];
  return {
    async get(key) {
      const { value, versionstamp } = await kv.get(place(key));
      return versionstamp === null ? null : { value, version: versionstamp };
    },
    async set(key, value) {
      return (await written(kv.set(place(key), value))).versionstamp;
    },
    async compareAndSet(key, version, value) {
      const check = { key: place(key), versionstamp: version };
      const result = await written(kv.atomic().check(check).set(place(key), value).commit());
      return result.ok ? result.versionstamp : null;
    },
    delete: (key) => kv.delete(place(key)),
    async list(prefix) {
      const range = { start: place(prefix), end: place(`${prefix}\u{10FFFF}`) };
      const keys = await Array.fromAsync(kv.list(range), ({ key }) => String(key[1]));
      return keys.sort();
    },
  };
}

async function written<T>(writing: Promise<T>): Promise<T> {
  try {
    return await writing;
  } catch (thrown) {
    if (!(thrown instanceof TypeError)) throw thrown;
    throw new ActorError("TooLarge", `Cannot store value: ${thrown.message}`, { cause: thrown });
  }
}
