/** An engine with one model loaded, as this bench sees it. */
export interface EngineSubject {
  readonly name: string;
  /** The greedy next token after a prompt. */
  nextToken(promptIds: readonly number[]): Promise<number>;
  /**
   * Brings `batch` sequences to `decodePrompts(...)`, untimed and from cache where that is possible,
   * then times `tokens` greedy steps of all of them. The rate counts the tokens of all sequences.
   */
  decode(options: DecodeOptions): Promise<Rate>;
  /** Times one pass over `prefillPrompt(length)` from an empty cache to its greedy next token. */
  prefill(options: { readonly length: number }): Promise<Rate>;
  /** The largest resident size so far; `null` where the system does not tell. */
  peakMemoryBytes(): Promise<number | null> | number | null;
  close(): Promise<void> | void;
}

export interface DecodeOptions {
  readonly batch: number;
  readonly promptLength: number;
  readonly tokens: number;
}

export interface Rate {
  readonly tokensPerSecond: number;
}

/** What `tandem.ts` exports. */
export interface TandemModule {
  openTandem(modelDir: string, options: { readonly threads: number }): Promise<EngineSubject>;
  /** GB/s of a plain streaming read by all threads. */
  measureReadBandwidth?(options: { readonly threads: number }): Promise<number | null>;
}
