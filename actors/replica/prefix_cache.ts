/** A full page whose keys and values other sequences with the same beginning may use. */
export interface PrefixNode {
  /** Stands for the whole beginning up to this page's end. */
  readonly id: number;
  /** The physical page. */
  readonly page: number;
  /** What it is found by: the id of the node before it, and its token ids. */
  readonly key: string;
}

/** The node before every beginning. */
const ROOT = 0;

/**
 * Which full pages hold which beginnings of texts: a tree whose edges are a page's token ids, so that two
 * texts share a page exactly when they agree up to its end. (As vLLM's automatic prefix caching, with the
 * ids themselves in place of a hash: a collision would mix two users' texts.)
 */
export class PrefixCache {
  readonly #byKey = new Map<string, PrefixNode>();
  readonly #byPage = new Map<number, PrefixNode>();
  #nextId = ROOT + 1;

  /** The page that goes on from `parent` with these ids, if any. */
  find(parent: PrefixNode | undefined, ids: Int32Array): PrefixNode | undefined {
    return this.#byKey.get(keyOf(parent, ids));
  }

  /** Notes that `page` goes on from `parent` with these ids; keeps the page that was noted first. */
  add(parent: PrefixNode | undefined, ids: Int32Array, page: number): PrefixNode {
    const key = keyOf(parent, ids);
    const known = this.#byKey.get(key);
    if (known) return known;
    const node = { id: this.#nextId++, page, key };
    this.#byKey.set(key, node);
    this.#byPage.set(page, node);
    return node;
  }

  /** Whether a page is noted. */
  has(page: number): boolean {
    return this.#byPage.has(page);
  }

  /** Forgets a page whose memory is given to another text. */
  forget(page: number): void {
    const node = this.#byPage.get(page);
    if (!node) return;
    this.#byPage.delete(page);
    this.#byKey.delete(node.key);
  }
}

function keyOf(parent: PrefixNode | undefined, ids: Int32Array): string {
  return `${parent?.id ?? ROOT}:${ids.join()}`;
}
