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
  /** Micro-batches that may be in flight together; 1 by default. */
  readonly microBatches?: number;
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
 *
 * Several plans may be in flight, so that the stages of a pipeline overlap (as the micro-batches of Huang et
 * al., "GPipe", 2019, section 2). Each takes an even share of the sequences that are not in flight already, so
 * that plans stay disjoint and about equal as sequences come and go.
 */
export class Scheduler {
  /** The pages that running sequences hold. */
  readonly pool: PagePool;
  readonly #limits: SchedulerLimits;
  readonly #waiting: Sequence[] = [];
  readonly #running: Sequence[] = [];
  readonly #microBatches: number;
  #preemptions = 0;

  /** Starts empty, with all pages free. */
  constructor(limits: SchedulerLimits) {
    this.#limits = limits;
    this.pool = new PagePool(limits.pages, limits.pageSize);
    this.#microBatches = limits.microBatches ?? 1;
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

  /**
   * The next step's chunks, in flight from now on; empty when there is nothing to do. Drops cancelled
   * sequences.
   */
  plan(): Chunk[] {
    this.#dropCancelled();
    const decodes = this.#planDecodes();
    const budget = this.#limits.tokens - decodes.length;
    const admitted = this.#admit(budget);
    const chunks = decodes.concat(this.#planPrefills(admitted, budget));
    for (const { sequence, count } of chunks) sequence.inFlight = count;
    return chunks;
  }

  /** Takes back a chunk that is computed; other sequences may use the pages that it filled. */
  advance({ sequence, count }: Chunk): void {
    sequence.inFlight = 0;
    sequence.computed += count;
    this.pool.note(sequence.table, sequence.ids, sequence.computed);
  }

  /** Removes a finished sequence and frees what it held. */
  finish(sequence: Sequence): void {
    remove(this.#running, sequence);
    this.pool.release(sequence.table);
  }

  /** Removes and answers all that is not in flight. */
  evict(): Sequence[] {
    const running = this.#running.filter(({ inFlight }) => inFlight === 0);
    for (const sequence of running) this.finish(sequence);
    return [...running, ...this.#waiting.splice(0)];
  }

  /** Throws unless every page is accounted for. */
  checkIntegrity(): void {
    this.pool.checkIntegrity(this.#running.map((sequence) => sequence.table));
  }

  #dropCancelled(): void {
    const cancelled = this.#running.filter((s) => s.cancelled && s.inFlight === 0);
    for (const sequence of cancelled) this.finish(sequence);
    for (const sequence of this.#waiting.filter((s) => s.cancelled)) {
      remove(this.#waiting, sequence);
    }
  }

  #planDecodes(): Chunk[] {
    const decoding = this.#running.filter((sequence) => sequence.decoding);
    const most = Math.min(this.#limits.tokens, this.#share(decoding.length));
    const chunks: Chunk[] = [];
    for (const sequence of decoding) {
      if (chunks.length === most) break;
      if (sequence.inFlight > 0 || !sequence.decoding || !this.#makeRoom(sequence)) continue;
      this.pool.grow(sequence.table, sequence.length);
      chunks.push({ sequence, count: 1 });
    }
    return chunks;
  }

  /** The last `admitted` sequences have their pages, though only one token of some may be left to compute. */
  #planPrefills(admitted: number, budget: number): Chunk[] {
    const known = this.#running.length - admitted;
    const all = this.#running.filter((sequence, i) => i >= known || !sequence.decoding);
    const free = all.filter(({ inFlight }) => inFlight === 0).slice(0, this.#share(all.length));
    const chunks: Chunk[] = [];
    let left = budget;
    free.forEach((sequence, i) => {
      const share = Math.ceil(left / (free.length - i));
      const count = Math.min(sequence.pending, share, left);
      if (count === 0) return;
      chunks.push({ sequence, count });
      left -= count;
    });
    return chunks;
  }

  /** How many of so many sequences one micro-batch takes. */
  #share(sequences: number): number {
    return Math.ceil(sequences / this.#microBatches);
  }

  /**
   * Preempts from the newest on until a decode has a page to grow into. False when the newest is in flight, so
   * that the decode waits for it, or when it was preempted itself.
   */
  #makeRoom(sequence: Sequence): boolean {
    while (!this.pool.canHold(sequence.table, sequence.length)) {
      const newest = this.#running.at(-1)!;
      if (newest.inFlight > 0) return false;
      this.#preempt(newest);
      if (newest === sequence) return false;
    }
    return true;
  }

  /** Lets newcomers in, as many as there is room for, and answers how many. */
  #admit(budget: number): number {
    const before = this.#running.length;
    while (
      this.#waiting.length > 0 && this.#running.length < this.#limits.sequences && budget > 0
    ) {
      const sequence = this.#waiting[0]!;
      if (!this.#giveRoom(sequence)) break;
      this.#waiting.shift();
      this.#running.push(sequence);
    }
    return this.#running.length - before;
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
    this.finish(sequence);
    sequence.computed = 0;
    this.#waiting.unshift(sequence);
    this.#preemptions++;
  }
}

function remove(list: Sequence[], sequence: Sequence): void {
  const index = list.indexOf(sequence);
  if (index >= 0) list.splice(index, 1);
}
