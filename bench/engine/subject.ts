/** An engine with one model loaded, as this bench sees it. */
export interface EngineSubject {
  readonly name: string;
  /** The keys of the measures that it runs; absent: all. */
  readonly only?: readonly string[];
  /**
   * Brings `batch` sequences to `decodePrompts(...)`, untimed and from cache where that is possible,
   * then times `tokens` greedy steps of all of them. The rate counts the tokens of all sequences.
   */
  decode(options: DecodeOptions): Promise<Rate>;
  /** Times one pass over a prompt of `length` that is not in the cache, to its greedy next token. */
  prefill(options: { readonly length: number }): Promise<Rate>;
  /** The largest resident size of its process so far; `null` where the system does not tell. */
  peakMemoryBytes(): Promise<number | null>;
  close(): Promise<void>;
}

export interface DecodeOptions {
  readonly batch: number;
  readonly promptLength: number;
  readonly tokens: number;
}

export interface Rate {
  readonly tokensPerSecond: number;
}
