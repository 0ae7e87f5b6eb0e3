/** HTTP ingress: the OpenAI API, health, metrics and status page over the routers of the families. */
export { createEdge } from "./edge.ts";
export type { Edge, EdgeOptions } from "./edge.ts";
export { isLoopback, KeyRing, loadKeys, requireKeys } from "./keys.ts";
export type { KeySources } from "./keys.ts";
export { fixedRouters } from "./routers.ts";
export type { RouterDirectory } from "./routers.ts";
export { startServer } from "./server.ts";
export type { Server, ServerOptions } from "./server.ts";
