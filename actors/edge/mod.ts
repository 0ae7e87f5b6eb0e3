/** HTTP ingress: the OpenAI API, health, metrics and status page over the routers of the families. */
export { memberDesks, memberRouters } from "./cluster/mod.ts";
export type { FindDesks } from "./desk/mod.ts";
export { Doorway } from "./doorway.ts";
export { createEdge } from "./edge.ts";
export type { Edge, EdgeOptions } from "./edge.ts";
export { isLoopback, KeyRing, loadKeys, requireKeys } from "./keys/mod.ts";
export type { ApiKey, KeyEntry, KeyLimits, KeySources } from "./keys/mod.ts";
export { fixedRouters } from "./routers.ts";
export type { RouterDirectory } from "./routers.ts";
export { startServer } from "./server.ts";
export type { Server, ServerOptions } from "./server.ts";
