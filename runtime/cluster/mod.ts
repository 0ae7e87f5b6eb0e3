/**
 * Many nodes as one: membership by heartbeats, a directory of what live nodes offer, and leases with fencing
 * epochs for what must exist only once.
 * @module
 */
export type { Offer, ProtocolRange } from "./announcement.ts";
export { Directory } from "./directory.ts";
export { Fence } from "./fence.ts";
export { acquireLease, type Lease, type LeaseOptions } from "./lease.ts";
export {
  type Description,
  type Member,
  type MemberEvent,
  Membership,
  type MembershipOptions,
} from "./membership.ts";
export type { QuarantineLimits } from "./quarantine.ts";
export { type Singleton, type SingletonOptions, standFor } from "./singleton.ts";
