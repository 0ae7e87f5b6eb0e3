import type { SampledToken } from "../replica_protocol.ts";
import type { TokenSink } from "./sequence.ts";

/** Tokens between the scheduler and the stream that carries them off; at most one reader. */
export class TokenQueue implements TokenSink {
  #items: SampledToken[] = [];
  #closed = false;
  #error: Error | undefined;
  #wake: (() => void) | undefined;

  push(token: SampledToken): void {
    this.#items.push(token);
    this.#wake?.();
  }

  close(error?: Error): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#error = error;
    this.#wake?.();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<SampledToken> {
    while (true) {
      const items = this.#items;
      this.#items = [];
      yield* items;
      if (this.#items.length > 0) continue;
      if (this.#error) throw this.#error;
      if (this.#closed) return;
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
  }
}
