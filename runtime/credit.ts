/** The most items of a stream that may be on their way. */
export const maxCredits = 4096;

/** How many items of a stream may be sent: a running total, so that a lost grant does no harm. */
export class CreditWindow {
  #granted: number;
  #used = 0;
  #closed = false;
  #wake: (() => void) | null = null;

  constructor(credits: number) {
    this.#granted = credits;
  }

  /** Whether one more item may be sent. */
  get isOpen(): boolean {
    return this.#used < this.#granted || this.#closed;
  }

  /** Raises the total that may be sent. */
  grant(total: number): void {
    if (total <= this.#granted) return;
    this.#granted = total;
    this.#notify();
  }

  /** Counts one item sent, and answers its index. */
  use(): number {
    return this.#used++;
  }

  /** Lets the producer go: nothing more is wanted. */
  close(): void {
    this.#closed = true;
    this.#notify();
  }

  /** Resolves when the window is open or closed for good. */
  opened(): Promise<void> {
    if (this.isOpen) return Promise.resolve();
    return new Promise((resolve) => this.#wake = resolve);
  }

  #notify(): void {
    this.#wake?.();
    this.#wake = null;
  }
}
