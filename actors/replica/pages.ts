/**
 * The physical pages of a paged KV cache: which are free. A page belongs to one sequence at a time.
 * (Paged attention: Kwon et al., "Efficient Memory Management for Large Language Model Serving with
 * PagedAttention", 2023, section 4.)
 */
export class PagePool {
  readonly #free: number[];

  /** A pool of `total` pages of `pageSize` tokens, all free. */
  constructor(readonly total: number, readonly pageSize: number) {
    this.#free = Array.from({ length: total }, (_, i) => total - 1 - i);
  }

  get free(): number {
    return this.#free.length;
  }

  get used(): number {
    return this.total - this.free;
  }

  /** Pages that hold `tokens` tokens. */
  pagesFor(tokens: number): number {
    return Math.ceil(tokens / this.pageSize);
  }

  /** Whether `held` can grow until it holds `tokens` tokens. */
  canHold(held: readonly number[], tokens: number): boolean {
    return this.pagesFor(tokens) - held.length <= this.free;
  }

  /** Grows `held` until it holds `tokens` tokens; ask {@link canHold} first. */
  grow(held: number[], tokens: number): void {
    if (!this.canHold(held, tokens)) {
      throw new RangeError(`Cannot hold ${tokens} tokens: ${this.free} pages free`);
    }
    const missing = this.pagesFor(tokens) - held.length;
    for (let i = 0; i < missing; i++) held.push(this.#free.pop()!);
  }

  /** Takes back all of `held`. */
  release(held: number[]): void {
    while (held.length > 0) this.#free.push(held.pop()!);
  }

  /** Throws unless every page is free or held exactly once. */
  checkIntegrity(holders: Iterable<readonly number[]>): void {
    const seen = new Set(this.#free);
    let count = this.#free.length;
    for (const held of holders) {
      for (const page of held) seen.add(page);
      count += held.length;
    }
    if (seen.size === this.total && count === this.total) return;
    throw new Error(
      `Cannot account for every page: ${count} listed, ${seen.size} distinct of ${this.total}`,
    );
  }
}
