/** Publish and subscribe of bytes under `.`-separated subjects: what NATS offers. */
export interface Transport {
  /** The most bytes of one publish. */
  readonly maxPayload: number;
  /** Sends to every subscriber, at most once. Throws `ActorError`: `NoRoute`, `TooLarge`. */
  publish(subject: string, bytes: Uint8Array): void;
  /**
   * Calls back with each message under a pattern (`*` one token, `>` the rest). The answer
   * unsubscribes. The transport never changes the bytes again: messages may keep views of them.
   */
  subscribe(
    pattern: string,
    callback: (subject: string, bytes: Uint8Array) => void,
  ): () => void;
  /** Resolves once it is closed, with the error that closed it if there was one. */
  readonly closed: Promise<Error | void>;
  /** Ends it. */
  close(): Promise<void>;
}
