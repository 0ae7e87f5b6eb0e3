/** Who may call, and how much: API keys, their files and their limits. */
export { isLoopback, requireKeys } from "./listen.ts";
export { type KeySources, loadKeys } from "./load.ts";
export { makeKey, type NewKey } from "./make.ts";
export { type Permit, Quotas } from "./quotas.ts";
export { type ApiKey, type KeyEntry, type KeyLimits, KeyRing } from "./ring.ts";
