import { PagePool } from "./pages.ts";
import type { Sequence } from "./sequence.ts";

/** Limits of a replica's running batch. */
export interface SchedulerLimits {
  /** Tokens a step. */
  readonly tokens: number;
  /** Sequences that run together. */
  readonly sequences: number;
  /** Physical pages of the KV cache. */
  readonly pages: number;
  /** Tokens a page. */
  readonly pageSize: number;
}

/** Part of a step: the next `count` pending tokens of a sequence. */
export interface Chunk {
  /** Whose tokens they are. */
  readonly sequence: Sequence;
  /** How many, from 1. */
  readonly count: number;
}

/**
 * Continuous batching: decides before every step which tokens of which sequences it computes. Decodes come
 * first; what is left of the token budget is shared evenly among sequences in prefill (chunked prefill).
 * Admission is first come, first served. When a decode finds no free page, the sequence admitted last is
 * preempted: its pages are freed and its tokens recomputed later, before any newcomer. Sequences that begin
 * alike share the full pages of their beginning.
 */
export class Scheduler {
  /** The pages that running sequences hold. */
  readonly pool: PagePool;
  readonly #limits: SchedulerLimits;
  readonly #waiting: Sequence[] = [];
  readonly #running: Sequence[] = [];
  readonly #slots: number[];
  #preemptions = 0;

  /** Starts empty, with all pages free. */
  constructor(limits: SchedulerLimits) {
    this.#limits = limits;
    this.pool = new PagePool(limits.pages, limits.pageSize);
    this.#slots = Array.from({ length: limits.sequences }, (_, i) => limits.sequences - 1 - i);
  }

  /** Sequences that hold pages, in order of admission. */
  get running(): readonly Sequence[] {
    return this.#running;
  }

  /** Sequences in the queue. */
  get waiting(): number {
    return this.#waiting.length;
  }

  /** Preemptions so far. */
  get preemptions(): number {
    return this.#preemptions;
  }

  /** Queues a sequence; it must fit in all pages together. */
  submit(sequence: Sequence): void {
    this.#waiting.push(sequence);
  }

  /** The next step's chunks; empty when there is nothing to do. Drops cancelled sequences. */
  plan(): Chunk[] {
    this.#dropCancelled();
    const decodes = this.#planDecodes();
    const budget = this.#limits.tokens - decodes.length;
    this.#admit(budget);
    return decodes.concat(this.#planPrefills(decodes, budget));
  }

  /** Notes that a chunk is computed, so that other sequences may use the pages that it filled. */
  advance({ sequence, count }: Chunk): void {
    sequence.computed += count;
    this.pool.note(sequence.table, sequence.ids, sequence.computed);
  }

  /** Removes a finished sequence and frees what it held. */
  finish(sequence: Sequence): void {
    remove(this.#running, sequence);
    this.#free(sequence);
  }

  /** Removes everything, for shutdown. */
  clear(): Sequence[] {
    const all = [...this.#running, ...this.#waiting.splice(0)];
    for (const sequence of [...this.#running]) this.finish(sequence);
    return all;
  }

  /** Throws unless every page is accounted for. */
  checkIntegrity(): void {
    this.pool.checkIntegrity(this.#running.map((sequence) => sequence.table));
  }

  #dropCancelled(): void {
    for (const sequence of this.#running.filter((s) => s.cancelled)) this.finish(sequence);
    for (const sequence of this.#waiting.filter((s) => s.cancelled)) {
      remove(this.#waiting, sequence);
    }
  }

  #planDecodes(): Chunk[] {
    const chunks: Chunk[] = [];
    for (let i = 0; i < this.#running.length && chunks.length < this.#limits.tokens; i++) {
      const sequence = this.#running[i]!;
      if (!sequence.decoding) continue;
      while (sequence.slot >= 0 && !this.pool.canHold(sequence.table, sequence.length)) {
        this.#preempt(this.#running.at(-1)!);
      }
      if (sequence.slot < 0) break;
      this.pool.grow(sequence.table, sequence.length);
      chunks.push({ sequence, count: 1 });
    }
    return chunks;
  }

  #planPrefills(decodes: readonly Chunk[], budget: number): Chunk[] {
    const decoding = new Set(decodes.map(({ sequence }) => sequence));
    const prefilling = this.#running.filter((sequence) => !decoding.has(sequence));
    const chunks: Chunk[] = [];
    let left = budget;
    prefilling.forEach((sequence, i) => {
      const share = Math.ceil(left / (prefilling.length - i));
      const count = Math.min(sequence.pending, share, left);
      if (count === 0) return;
      chunks.push({ sequence, count });
      left -= count;
    });
    return chunks;
  }

  #admit(budget: number): void {
    while (this.#waiting.length > 0 && this.#slots.length > 0 && budget > 0) {
      const sequence = this.#waiting[0]!;
      if (!this.#giveRoom(sequence)) return;
      this.#waiting.shift();
      sequence.slot = this.#slots.pop()!;
      this.#running.push(sequence);
    }
  }

  /**
   * Gives a newcomer its pages, those of a known beginning ready, if each running sequence keeps a page to
   * grow into: else the newcomer would be preempted at once.
   */
  #giveRoom(sequence: Sequence): boolean {
    const { table, length } = sequence;
    sequence.computed = this.pool.reuse(table, sequence.ids);
    const spare = this.#running.length * this.#limits.pageSize;
    if (this.pool.canHold(table, length + spare)) {
      this.pool.grow(table, length);
      return true;
    }
    this.pool.release(table);
    sequence.computed = 0;
    return false;
  }

  #preempt(sequence: Sequence): void {
    remove(this.#running, sequence);
    this.#free(sequence);
    sequence.computed = 0;
    this.#waiting.unshift(sequence);
    this.#preemptions++;
  }

  #free(sequence: Sequence): void {
    this.pool.release(sequence.table);
    if (sequence.slot >= 0) this.#slots.push(sequence.slot);
    sequence.slot = -1;
  }
}

function remove(list: Sequence[], sequence: Sequence): void {
  const index = list.indexOf(sequence);
  if (index >= 0) list.splice(index, 1);
}
