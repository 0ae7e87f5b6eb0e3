/** What edges tell operators of the cluster, and what they pass on for them. */
export { Desks, type FindDesk } from "./desks.ts";
export { addDesk } from "./routes.ts";
export { type ClusterView, nodeViews } from "./view.ts";
