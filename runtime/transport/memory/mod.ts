/** A seeded network inside one process, for tests and for clusters in one process. @module */
export { createMemoryNetwork } from "./network.ts";
export type { MemoryNetwork, MemoryNetworkOptions } from "./network.ts";
