import type { Clock } from "../../../runtime/mod.ts";
import { HttpError, retryAfter } from "../errors.ts";
import { Bucket } from "./bucket.ts";
import type { ApiKey, KeyLimits } from "./ring.ts";

/** A request that a key's limits let in. */
export interface Permit {
  /** Charges tokens as they are used. A key in debt is let in again when it is paid off. */
  spend(tokens: number): void;
  /** Ends the request. */
  leave(): void;
}

interface Account {
  readonly requests: Bucket | null;
  readonly tokens: Bucket | null;
  running: number;
}

const free: Permit = { spend: () => {}, leave: () => {} };

/** Holds callers to the limits of their keys. Each edge counts for itself. */
export class Quotas {
  readonly #clock: Clock;
  readonly #accounts = new WeakMap<ApiKey, Account>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Lets a request in. Throws `HttpError` 429 that says when to come again. */
  enter(key: ApiKey | null): Permit {
    if (key === null || Object.keys(key.limits).length === 0) return free;
    const account = this.#accountOf(key);
    const now = this.#clock.monotonic();
    this.#refuse(key.limits, account, now);
    account.requests?.take(1, now);
    account.running++;
    return {
      spend: (tokens) => account.tokens?.take(tokens, this.#clock.monotonic()),
      leave: () => account.running--,
    };
  }

  /** OpenAI's headers about the limits of a key; none where it has none. */
  headers(key: ApiKey | null): Record<string, string> {
    const account = key === null ? undefined : this.#accounts.get(key);
    if (account === undefined) return {};
    const now = this.#clock.monotonic();
    return {
      ...headersOf("requests", account.requests, now),
      ...headersOf("tokens", account.tokens, now),
    };
  }

  #refuse(limits: KeyLimits, { requests, tokens, running }: Account, now: number): void {
    const { requestsPerMinute, tokensPerMinute, concurrentRequests = Infinity } = limits;
    if (running >= concurrentRequests) {
      throw exceeded(`more than ${concurrentRequests} requests at once`, 1000);
    }
    const request = requests?.wait(1, now) ?? 0;
    if (request > 0) throw exceeded(`more than ${requestsPerMinute} requests a minute`, request);
    // A key with any token left is let in: what its request will use is not known yet.
    const token = tokens?.wait(1, now) ?? 0;
    if (token > 0) throw exceeded(`more than ${tokensPerMinute} tokens a minute`, token);
  }

  #accountOf(key: ApiKey): Account {
    const { limits } = key;
    const known = this.#accounts.get(key);
    if (known) return known;
    const bucket = (limit: number | undefined) =>
      limit === undefined ? null : new Bucket(limit, this.#clock.monotonic());
    const made = {
      requests: bucket(limits.requestsPerMinute),
      tokens: bucket(limits.tokensPerMinute),
      running: 0,
    };
    this.#accounts.set(key, made);
    return made;
  }
}

function exceeded(what: string, waitMs: number): HttpError {
  return new HttpError(`Cannot answer ${what} with this API key`, {
    status: 429,
    code: "rate_limit_exceeded",
    headers: retryAfter(waitMs),
  });
}

function headersOf(what: string, bucket: Bucket | null, now: number): Record<string, string> {
  if (bucket === null) return {};
  const { capacity } = bucket;
  return {
    [`x-ratelimit-limit-${what}`]: String(capacity),
    [`x-ratelimit-remaining-${what}`]: String(Math.max(0, Math.floor(bucket.left(now)))),
    [`x-ratelimit-reset-${what}`]: duration(bucket.wait(capacity, now)),
  };
}

/** A duration as OpenAI writes it: `120ms`, `7s`, `6m0s`. */
function duration(milliseconds: number): string {
  const whole = Math.ceil(milliseconds);
  if (whole < 1000) return `${whole}ms`;
  const seconds = Math.ceil(whole / 1000);
  return seconds < 60 ? `${seconds}s` : `${Math.floor(seconds / 60)}m${seconds % 60}s`;
}
