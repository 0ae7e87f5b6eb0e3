import { createHash, timingSafeEqual } from "node:crypto";
import { Buffer } from "node:buffer";

/** How much may be asked with one key; an absent limit is none. */
export interface KeyLimits {
  /** Requests in any minute, refilled evenly. */
  readonly requestsPerMinute?: number;
  /** Tokens of prompts and answers in any minute, refilled evenly. */
  readonly tokensPerMinute?: number;
  /** Requests at work at once. */
  readonly concurrentRequests?: number;
}

/** Whom a key stands for. */
export interface ApiKey {
  /** Names the key in logs and in files; never secret. */
  readonly name: string;
  /** How much may be asked with it. */
  readonly limits: KeyLimits;
  /** Whether it may change the cluster: drain nodes. */
  readonly admin: boolean;
}

/** A key as it is stored: whom it stands for, and the hash that it is known by. */
export interface KeyEntry extends ApiKey {
  /** SHA-256 of the key, 64 hexadecimal digits. */
  readonly sha256: string;
}

/** API keys, kept as SHA-256 only: they are random enough that their hashes cannot be guessed back. */
export class KeyRing {
  readonly #entries: readonly { readonly digest: Buffer; readonly key: ApiKey }[];

  /** A ring of these keys. */
  constructor(
    entries: readonly KeyEntry[],
    /** How many of them were read in plain text. */
    readonly plain = 0,
  ) {
    const distinct = new Map(entries.map((entry) => [entry.sha256.toLowerCase(), entry]));
    this.#entries = [...distinct].map(([sha256, { name, limits, admin }]) => ({
      digest: Buffer.from(sha256, "hex"),
      key: { name, limits, admin },
    }));
  }

  /** A ring of keys in plain text, without limits. */
  static ofPlain(keys: readonly string[]): KeyRing {
    const entries = keys.map((key, index) => plainEntry(key, `key-${index + 1}`));
    return new KeyRing(entries, entries.length);
  }

  /** How many different keys there are. */
  get size(): number {
    return this.#entries.length;
  }

  /** Whom a key stands for, in a time that does not tell which or how nearly; `null` = nobody. */
  find(key: string): ApiKey | null {
    const asked = createHash("sha256").update(key).digest();
    let found: ApiKey | null = null;
    for (const { digest, key } of this.#entries) {
      found = timingSafeEqual(digest, asked) ? key : found;
    }
    return found;
  }
}

/** The entry of a key in plain text. */
export function plainEntry(key: string, name: string): KeyEntry {
  return { name, sha256: sha256Of(key), limits: {}, admin: false };
}

/** What a key is known by. */
export function sha256Of(key: string): string {
  return createHash("sha256").update(key).digest("hex");
}
