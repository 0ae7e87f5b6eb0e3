/** A cluster on one machine, as `deno task cluster` starts it. */
export { type Cluster, type ClusterOptions, startCluster } from "./cluster.ts";
export { type Process, type ProcessOptions, startProcess } from "./processes.ts";
