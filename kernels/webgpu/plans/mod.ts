/** What every operation dispatches, and how weights lie in memory for it. */
export { planAttention } from "./attention.ts";
export { planExperts } from "./experts.ts";
export { planLinear } from "./linear.ts";
export { planRoute } from "./route.ts";
export { planRotateAppend } from "./rotate_append.ts";
export { planAdd, planAddGated, planClear, planEmbed, planGather, planRmsNorm } from "./rows.ts";
export { planSample } from "./sample.ts";
export { planSwiglu } from "./swiglu.ts";
export { named, tuningOf } from "./tuning.ts";
export { planSeal, shardBytes } from "./weights.ts";
