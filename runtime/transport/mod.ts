/** How messages leave an isolate: the transport interface, envelopes, and the lanes. @module */
export { endpointOf } from "./envelope.ts";
export type {
  AnswerEnvelope,
  AskEnvelope,
  ControlEnvelope,
  CreditEnvelope,
  DownEnvelope,
  Envelope,
  ItemEnvelope,
  Link,
  MessageEnvelope,
  StreamEnvelope,
  TellEnvelope,
} from "./envelope.ts";
export { nodeTokens, TransportLink } from "./link/mod.ts";
export type { LinkEvents, TransportLinkOptions } from "./link/mod.ts";
export { isLost } from "./loss.ts";
export type { Loss } from "./loss.ts";
export type { Transport, TransportEvent } from "./transport.ts";
export { createMemoryNetwork } from "./memory/mod.ts";
export type { MemoryNetwork, MemoryNetworkOptions } from "./memory/mod.ts";
export { connectNats, openStoreLine } from "./nats/mod.ts";
export type {
  NatsOptions,
  NatsPatience,
  NatsSurroundings,
  NatsTlsOptions,
  NatsTransport,
  StoreLine,
} from "./nats/mod.ts";
export { openThread, PortLink } from "./thread/mod.ts";
export type { Handshake, Port, Thread, ThreadOptions, ThreadWithLink } from "./thread/mod.ts";
