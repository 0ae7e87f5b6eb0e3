/** The names under which actors are offered to the cluster. */

/** Routers of a family. */
export function routerOffer(family: string): string {
  return `${routerPrefix}${family}`;
}

/** What the names of all routers' offers begin with. */
export const routerPrefix = "router/";

/** Replicas of a level with a certain model. */
export function replicaOffer(family: string, level: string, model: string): string {
  return `replica/${family}/${level}/${model.replace(/^.*:/, "").slice(0, 16)}`;
}

/** The planner that decides. */
export const plannerOffer = "planner";
