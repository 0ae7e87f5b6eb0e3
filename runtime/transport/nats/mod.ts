/** The lane between nodes over NATS. @module */
export type { NatsOptions, NatsTlsOptions } from "./options.ts";
export { connectNats, openStoreLine } from "./transport.ts";
export type { NatsPatience, NatsSurroundings, NatsTransport, StoreLine } from "./transport.ts";
