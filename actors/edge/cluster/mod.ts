/** Edges as members of a cluster: where the routers are, and edges that run by themselves. */
export { Cluster, type ClusterOptions } from "./cluster.ts";
export { memberDesks, memberRouters } from "./members.ts";
export { type EdgeSettings, readSettings } from "./settings.ts";
export { type Standalone, standaloneEdge, type StandaloneOptions } from "./standalone.ts";
