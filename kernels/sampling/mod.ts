/** What all samplers share. */
export { uniform } from "./rng.ts";
