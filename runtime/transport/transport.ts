/** Publish and subscribe of bytes under `.`-separated subjects: what NATS offers. */
export interface Transport {
  /** The most bytes of one publish. */
  readonly maxPayload: number;
  /**
   * Sends pieces as one message to every subscriber, at most once. They must not change afterwards.
   * Throws `ActorError`: `NoRoute` while it is down, `Overloaded` while the network is slower than its
   * senders, `TooLarge`.
   */
  publish(subject: string, ...pieces: readonly Uint8Array[]): void;
  /**
   * Publishes, and tells with an `unheard` event that carries `token` if nobody was subscribed. The token is
   * a subject that this transport is itself subscribed to.
   */
  probe(subject: string, token: string, ...pieces: readonly Uint8Array[]): void;
  /**
   * Calls back with each message under a pattern (`*` one token, `>` the rest). The answer
   * unsubscribes. The transport never changes the bytes again: messages may keep views of them.
   */
  subscribe(
    pattern: string,
    callback: (subject: string, bytes: Uint8Array) => void,
  ): () => void;
  /** Calls back with what happens to the transport itself. The answer stops that. */
  watch(callback: (event: TransportEvent) => void): () => void;
  /** Resolves once all that was published and subscribed so far is with the network. */
  flush(): Promise<void>;
  /** Resolves once it is closed, with the error that closed it if there was one. */
  readonly closed: Promise<Error | void>;
  /** Lets what is on its way arrive, for a while, and ends it. */
  close(): Promise<void>;
}

/** What happens to a transport. */
export type TransportEvent =
  /** It lost its network: whatever was on its way, in or out, may be lost. */
  | { readonly type: "down"; readonly why: string }
  /** It is back, with all its subscriptions. */
  | { readonly type: "up" }
  /** Its server is about to stop, and it is about to go down. */
  | { readonly type: "retiring" }
  /** It may not use a subject; what was published under it is lost. */
  | {
    readonly type: "refused";
    readonly operation: "publish" | "subscribe";
    readonly subject: string;
  }
  /** Nobody was subscribed to what `probe()` published with this token. */
  | { readonly type: "unheard"; readonly token: string }
  /** Something went wrong that nobody waits for, such as a login while it is down. */
  | { readonly type: "failed"; readonly error: Error };
