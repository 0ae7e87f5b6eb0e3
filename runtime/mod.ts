/**
 * Actors as such: typed messages, bounded mailboxes, deadlines, supervision, and lanes between
 * isolates. Knows no model. `docs/semantics.md` says what is guaranteed and what is not.
 *
 * @module
 */
export { defineActor } from "./actor.ts";
export type {
  ActorDefinition,
  AnyActorDefinition,
  Checks,
  Context,
  MailboxLimits,
  Receive,
  SpawnOnOptions,
  SpawnOptions,
  Supervision,
  System,
} from "./actor.ts";
export { createSystem } from "./system.ts";
export type { SystemOptions } from "./system.ts";
export { serveThread } from "./serve_thread.ts";
export type { ServeThreadOptions } from "./serve_thread.ts";
export type { RefDefaults } from "./local_ref.ts";
export type {
  ActorRef,
  AnyRef,
  AskOptions,
  Movable,
  StreamOptions,
  TellOptions,
  TerminationReason,
} from "./ref.ts";
export type {
  Arguments,
  AskName,
  ItemOf,
  MessageOf,
  Protocol,
  ReplyOf,
  StreamName,
} from "./protocol.ts";
export { roleOf } from "./address.ts";
export { ActorError, reject } from "./errors.ts";
export type { ActorErrorCode, ActorErrorOptions } from "./errors.ts";
export { DeadLetters } from "./dead_letters.ts";
export type { DeadLetter, DeadLetterReason } from "./dead_letters.ts";
export { FakeClock, settledWithin, sleep, systemClock } from "./clock.ts";
export type { Clock } from "./clock.ts";
export { seededRng, systemRng } from "./rng.ts";
export type { Rng } from "./rng.ts";
export { connectNats, createMemoryNetwork } from "./transport/mod.ts";
export type {
  MemoryNetwork,
  MemoryNetworkOptions,
  NatsOptions,
  NatsPatience,
  NatsSurroundings,
  NatsTlsOptions,
  NatsTransport,
  Port,
  Thread,
  Transport,
  TransportEvent,
} from "./transport/mod.ts";
export { CodecError, decode, encode } from "./codec/mod.ts";
export type { CodecErrorCode, CodecLimits, WireArray, WireDType, WireTensor } from "./codec/mod.ts";
export { createDenoKvStore, createMemoryStore, createNatsStore, hasDenoKv } from "./store/mod.ts";
export type { NatsStoreOptions, Store, StoreEntry } from "./store/mod.ts";
export { acquireLease, Directory, Fence, Membership, standFor } from "./cluster/mod.ts";
export type {
  Description,
  Lease,
  LeaseOptions,
  Member,
  MemberEvent,
  MembershipOptions,
  Offer,
  ProtocolRange,
  QuarantineLimits,
  Singleton,
  SingletonOptions,
} from "./cluster/mod.ts";
export {
  createLogger,
  createMetrics,
  observeSystem,
  observeTransport,
  openTelemetryTracer,
} from "./telemetry/mod.ts";
export type {
  Counter,
  Gauge,
  Histogram,
  Labels,
  LogFields,
  Logger,
  LoggerOptions,
  LogLevel,
  Metrics,
  Span,
  Tracer,
} from "./telemetry/mod.ts";
