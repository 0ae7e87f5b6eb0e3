import type { Store, StoreEntry } from "./store.ts";

/** A store that lasts as long as the process. Values are copied in and out. */
export function createMemoryStore(): Store {
  const entries = new Map<string, StoreEntry>();
  let writes = 0;
  const write = (key: string, value: unknown) => {
    const version = String(++writes);
    entries.set(key, { value: structuredClone(value), version });
    return version;
  };
  return {
    get(key) {
      const entry = entries.get(key);
      return Promise.resolve(entry ? structuredClone(entry) : null);
    },
    set: (key, value) => Promise.resolve(write(key, value)),
    compareAndSet(key, version, value) {
      const present = entries.get(key)?.version ?? null;
      return Promise.resolve(present === version ? write(key, value) : null);
    },
    delete(key) {
      entries.delete(key);
      return Promise.resolve();
    },
    list: (prefix) =>
      Promise.resolve(entries.keys().filter((key) => key.startsWith(prefix)).toArray().sort()),
  };
}
