/** The ten kinds of questions. */
export { addsub, mul } from "./arithmetic.ts";
export { bool } from "./boolean.ts";
export { date } from "./date.ts";
export { max } from "./extremes.ts";
export { count, rev } from "./letters.ts";
export { roman } from "./roman.ts";
export { sort } from "./sort.ts";
export { unit } from "./units.ts";
