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
   * The sequences of the next step, each with some of its next tokens in flight from now on; empty when there is
   * nothing to do. Drops cancelled sequences.
   */
  plan(): Sequence[] {
    this.#dropCancelled();
    const plan = this.#planDecodes();
    const budget = this.#limits.tokens - plan.length;
    const admitted = this.#admit(budget);
    if (budget > 0) this.#planPrefills(plan, admitted, budget);
    return plan;
  }

  /**
   * How many tokens of each sequence of a plan may be computed in a row, at most `most`; their pages are taken. One,
   * unless all that runs decodes, and nobody waits to be let in after the next step.
   */
  roundsOf(plan: readonly Sequence[], most: number): number {
    if (this.#waiting.length > 0 || plan.length < this.#running.length) return 1;
    const rounds = plan.reduce((least, { foreseeable }) => Math.min(least, foreseeable), most);
    for (const { table, length } of rounds > 1 ? plan : []) {
      if (!this.pool.canHold(table, length + rounds - 1)) return 1;
      this.pool.grow(table, length + rounds - 1);
    }
    return rounds;
  }

  /**
   * Takes back the tokens of a sequence that are computed, by default all that were in flight; other sequences may
   * use the pages that they filled.
   */
  advance(sequence: Sequence, tokens: number = sequence.inFlight): void {
    sequence.inFlight = 0;
    sequence.computed += tokens;
    this.pool.note(sequence.table, sequence.store, sequence.computed);
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
    for (let i = this.#running.length; i-- > 0;) {
      const sequence = this.#running[i]!;
      if (sequence.cancelled && sequence.inFlight === 0) this.finish(sequence);
    }
    for (let i = this.#waiting.length; i-- > 0;) {
      if (this.#waiting[i]!.cancelled) this.#waiting.splice(i, 1);
    }
  }

  #planDecodes(): Sequence[] {
    const decoding = count(this.#running, isDecoding);
    const most = Math.min(this.#limits.tokens, this.#share(decoding));
    const plan: Sequence[] = [];
    for (let i = 0; i < this.#running.length && plan.length < most; i++) {
      const sequence = this.#running[i]!;
      if (sequence.inFlight > 0 || !sequence.decoding || !this.#makeRoom(sequence)) continue;
      this.pool.grow(sequence.table, sequence.length);
      sequence.inFlight = 1;
      plan.push(sequence);
    }
    return plan;
  }

  /** The last `admitted` sequences have their pages, though only one token of some may be left to compute. */
  #planPrefills(plan: Sequence[], admitted: number, budget: number): void {
    const known = this.#running.length - admitted;
    const isFed = (sequence: Sequence, i: number) => i >= known || !sequence.decoding;
    const all = count(this.#running, isFed);
    if (all === 0) return;
    const free = this.#running.filter((sequence, i) =>
      isFed(sequence, i) && sequence.inFlight === 0
    )
      .slice(0, this.#share(all));
    let left = budget;
    free.forEach((sequence, i) => {
      const share = Math.ceil(left / (free.length - i));
      const tokens = Math.min(sequence.pending, share, left);
      if (tokens === 0) return;
      sequence.inFlight = tokens;
      plan.push(sequence);
      left -= tokens;
    });
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
    sequence.computed = this.pool.reuse(table, sequence.store.subarray(0, length));
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

function isDecoding({ decoding }: Sequence): boolean {
  return decoding;
}

function count(
  list: readonly Sequence[],
  matches: (sequence: Sequence, index: number) => boolean,
): number {
  let matching = 0;
  for (let i = 0; i < list.length; i++) if (matches(list[i]!, i)) matching++;
  return matching;
}

function remove(list: Sequence[], sequence: Sequence): void {
  const index = list.indexOf(sequence);
  if (index >= 0) list.splice(index, 1);
}
