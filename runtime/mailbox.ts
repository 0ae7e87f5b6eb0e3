import type { Letter } from "./letter.ts";
import type { MailboxLimits } from "./actor.ts";

/** What applies when a definition says nothing. */
export const defaultMailbox: Required<MailboxLimits> = {
  messages: 1024,
  bytes: 64 * 2 ** 20,
  retryAfterMs: 25,
};

const compactAt = 512;

/** A bounded queue of letters, with a second, unbounded one for control that is served first. */
export class Mailbox {
  readonly limits: Required<MailboxLimits>;
  #letters: Letter[] = [];
  #head = 0;
  #bytes = 0;
  #control: (() => void)[] = [];

  constructor(limits: Partial<MailboxLimits> = {}) {
    this.limits = { ...defaultMailbox, ...limits };
  }

  get size(): number {
    return this.#letters.length - this.#head;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get isEmpty(): boolean {
    return this.#head === this.#letters.length && this.#control.length === 0;
  }

  /** Adds a letter and answers null, or answers why not. */
  offer(letter: Letter): "Overloaded" | "TooLarge" | null {
    if (letter.bytes > this.limits.bytes) return "TooLarge";
    if (this.size >= this.limits.messages) return "Overloaded";
    if (this.#bytes + letter.bytes > this.limits.bytes) return "Overloaded";
    this.#letters.push(letter);
    this.#bytes += letter.bytes;
    return null;
  }

  take(): Letter | undefined {
    const letter = this.#letters[this.#head];
    if (letter === undefined) return undefined;
    this.#head++;
    this.#bytes -= letter.bytes;
    if (this.#head === this.#letters.length) {
      this.#letters.length = this.#head = 0;
    } else if (this.#head >= compactAt && this.#head * 2 >= this.#letters.length) {
      this.#letters.splice(0, this.#head);
      this.#head = 0;
    }
    return letter;
  }

  /** Adds control work, which no bound refuses. */
  offerControl(work: () => void): void {
    this.#control.push(work);
  }

  takeControl(): (() => void) | undefined {
    return this.#control.length === 0 ? undefined : this.#control.shift();
  }

  clearControl(): void {
    this.#control = [];
  }
}
