/** The lane between an isolate and its Worker threads. @module */
export { PortLink } from "./link.ts";
export type { Handshake, Port } from "./link.ts";
export { openThread } from "./thread.ts";
export type { Thread, ThreadOptions, ThreadWithLink } from "./thread.ts";
