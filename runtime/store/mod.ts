/** Small durable values, changed by compare and set. @module */
export { createMemoryStore } from "./memory.ts";
export type { Store, StoreEntry } from "./store.ts";
