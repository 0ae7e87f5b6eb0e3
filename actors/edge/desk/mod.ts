/** What edges tell operators of the cluster, and what they pass on for them. */
export { Desks, type FindDesks } from "./desks.ts";
export { addDesk } from "./routes.ts";
export { type ClusterView, nodeViews } from "./view.ts";
