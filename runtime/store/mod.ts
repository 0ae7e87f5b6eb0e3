/** Small durable values, changed by compare and set. @module */
export { createDenoKvStore, hasDenoKv } from "./deno_kv.ts";
export { createMemoryStore } from "./memory.ts";
export { createNatsStore } from "./nats.ts";
export type { NatsStoreOptions } from "./nats.ts";
export type { Store, StoreEntry } from "./store.ts";
