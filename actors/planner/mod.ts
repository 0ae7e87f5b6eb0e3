/**
 * The planner: which devices of which nodes hold which layers and experts of which replicas.
 * @module
 */
export { apportion, type Share, split } from "./apportion.ts";
export { isLater, servedFamilies } from "./demands.ts";
export { factsOf, nodesOf } from "./fleet.ts";
export { type Layout, layOut, LayoutError, PARTITION_BYTES } from "./layout.ts";
export { actorName, levelKey, type Part, partId, partsOf, placesOf, standsOn } from "./parts.ts";
export { type Demand } from "./place.ts";
export { type Addition, makePlan, type Plan, type PlanInput } from "./plan.ts";
export {
  Planner,
  type PlannerArgs,
  plannerKind,
  type PlannerNews,
  type PlannerProtocol,
  type PlannerStatus,
} from "./planner.ts";
