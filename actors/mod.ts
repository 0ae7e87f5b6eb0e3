/**
 * What serves: HTTP edge, confidence routers, replicas, expert shards, and nodes that put them together.
 * @module
 */
export * from "./protocol.ts";
export * from "./desk_protocol.ts";
export * from "./replica_protocol.ts";
export * from "./config/mod.ts";
export * from "./edge/mod.ts";
export * from "./experts/mod.ts";
export * from "./node/mod.ts";
export * from "./node_protocol.ts";
export * from "./planner/mod.ts";
export * from "./replica/mod.ts";
export * from "./router/mod.ts";
export { protocolRange, version } from "./version.ts";
