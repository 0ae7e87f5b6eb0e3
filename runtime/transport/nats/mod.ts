/** The lane between nodes over NATS. @module */
export type { NatsOptions, NatsTlsOptions } from "./options.ts";
export { clientOf, connectNats } from "./transport.ts";
export type { NatsSurroundings, NatsTransport } from "./transport.ts";
