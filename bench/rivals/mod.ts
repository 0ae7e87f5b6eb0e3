/** Engines to measure against, run as child processes of Node. */
export { installRivals } from "./install.ts";
