import { PrefixCache, type PrefixNode } from "./prefix_cache.ts";

/** The pages of one sequence, in logical order, and how far they are noted as a shared beginning. */
export interface PageTable {
  /** Physical pages; the last may be partly filled. */
  readonly pages: number[];
  /** The last page that is noted in the prefix cache. */
  node?: PrefixNode | undefined;
  /** Pages from the start that are noted there. */
  noted: number;
}

/** A table without pages. */
export function emptyPageTable(): PageTable {
  return { pages: [], noted: 0 };
}

/**
 * The physical pages of a paged KV cache (Kwon et al., "Efficient Memory Management for Large Language Model
 * Serving with PagedAttention", 2023, section 4). A page is free, or held by one sequence that writes it, or,
 * once full, by all sequences that begin with the same tokens. Full pages that nobody holds stay readable
 * until their memory is needed; the one released longest ago goes first.
 */
export class PagePool {
  readonly #free: number[];
  readonly #holders: Int32Array;
  /** Full pages that nobody holds, oldest first. */
  readonly #idle = new Set<number>();
  readonly #prefixes = new PrefixCache();
  #shared = 0;

  /** A pool of `total` pages of `pageSize` tokens, all free. */
  constructor(readonly total: number, readonly pageSize: number) {
    this.#free = Array.from({ length: total }, (_, i) => total - 1 - i);
    this.#holders = new Int32Array(total);
  }

  /** Pages that can be given out. */
  get free(): number {
    return this.#free.length + this.#idle.size;
  }

  /** Pages that sequences hold. */
  get used(): number {
    return this.total - this.free;
  }

  /** Pages that sequences took over ready instead of computing them, since the start. */
  get shared(): number {
    return this.#shared;
  }

  /** Pages that hold `tokens` tokens. */
  pagesFor(tokens: number): number {
    return Math.ceil(tokens / this.pageSize);
  }

  /** Whether `table` can grow until it holds `tokens` tokens. */
  canHold({ pages }: PageTable, tokens: number): boolean {
    return this.pagesFor(tokens) - pages.length <= this.free;
  }

  /** Grows `table` until it holds `tokens` tokens; ask {@link canHold} first. */
  grow(table: PageTable, tokens: number): void {
    if (!this.canHold(table, tokens)) {
      throw new RangeError(`Cannot hold ${tokens} tokens: ${this.free} pages free`);
    }
    const missing = this.pagesFor(tokens) - table.pages.length;
    for (let i = 0; i < missing; i++) table.pages.push(this.#take());
  }

  /**
   * Begins an empty `table` with the ready pages of a text's beginning and answers how many tokens they hold.
   * The text's last token is never among them: it must be computed to sample the next.
   */
  reuse(table: PageTable, ids: Int32Array): number {
    const most = Math.floor((ids.length - 1) / this.pageSize);
    while (table.noted < most) {
      const node = this.#prefixes.find(table.node, this.#idsOf(ids, table.noted));
      if (!node) break;
      this.#hold(node.page);
      table.pages.push(node.page);
      table.node = node;
      table.noted++;
      this.#shared++;
    }
    return table.noted * this.pageSize;
  }

  /** Notes the pages of `table` that its first `computed` tokens have filled, which `ids` begins with. */
  note(table: PageTable, ids: Int32Array, computed: number): void {
    const full = Math.floor(computed / this.pageSize);
    for (; table.noted < full; table.noted++) {
      const ofPage = this.#idsOf(ids, table.noted);
      table.node = this.#prefixes.add(table.node, ofPage, table.pages[table.noted]!);
    }
  }

  /** Takes back all pages of `table`; the last becomes idle first, since others stand on the ones before. */
  release(table: PageTable): void {
    while (table.pages.length > 0) this.#drop(table.pages.pop()!);
    table.node = undefined;
    table.noted = 0;
  }

  /** Throws unless every page is free, idle, or held by as many tables as are counted. */
  checkIntegrity(tables: Iterable<PageTable>): void {
    const held = new Int32Array(this.total);
    for (const { pages } of tables) for (const page of pages) held[page]!++;
    const listed = new Set([...this.#free, ...this.#idle]);
    const isWhole = listed.size === this.free &&
      held.every((count, page) =>
        count === this.#holders[page] && (count === 0) === listed.has(page)
      );
    if (!isWhole) {
      throw new Error(`Cannot account for every page of ${this.total}: ${this.free} free`);
    }
  }

  #idsOf(ids: Int32Array, page: number): Int32Array {
    return ids.subarray(page * this.pageSize, (page + 1) * this.pageSize);
  }

  #take(): number {
    let page = this.#free.pop();
    if (page === undefined) {
      [page] = this.#idle as Iterable<number> as [number];
      this.#idle.delete(page);
      this.#prefixes.forget(page);
    }
    this.#holders[page] = 1;
    return page;
  }

  #hold(page: number): void {
    this.#idle.delete(page);
    this.#holders[page]!++;
  }

  #drop(page: number): void {
    if (--this.#holders[page]! > 0) return;
    if (this.#prefixes.has(page)) this.#idle.add(page);
    else this.#free.push(page);
  }
}
