/** A stored value and the version it had when it was read. */
export interface StoreEntry {
  /** What was stored. */
  readonly value: unknown;
  /** Changes with every write; compare it only for equality. */
  readonly version: string;
}

/**
 * Small plain values under `/`-separated keys. Reads may be stale: decide only through
 * `compareAndSet`. Where values are kept elsewhere, operations throw `ActorError`: `Timeout` if a write
 * may or may not have happened, `NoRoute` if it has not.
 */
export interface Store {
  /** Reads a value and its version; null when absent. */
  get(key: string): Promise<StoreEntry | null>;
  /** Writes whatever was there, and answers the new version. */
  set(key: string, value: unknown): Promise<string>;
  /**
   * Writes only if the version is still the one given (`null`: absent). Answers the new version,
   * or null if another was first.
   */
  compareAndSet(key: string, version: string | null, value: unknown): Promise<string | null>;
  /** Removes a value, if it is there. */
  delete(key: string): Promise<void>;
  /** The keys that start with a prefix, in order. */
  list(prefix: string): Promise<string[]>;
}
