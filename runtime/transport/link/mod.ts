/** Envelopes over a transport: numbered packets, parts of large messages, lives of nodes. @module */
export { TransportLink } from "./link.ts";
export type { LinkEvents, TransportLinkOptions } from "./link.ts";
export type { OutboxLimits } from "./outbox.ts";
export { messagePrefix, nodeTokens } from "./subjects.ts";
