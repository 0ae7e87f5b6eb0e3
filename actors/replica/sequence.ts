import { emptyPageTable, type PageTable } from "./pages.ts";
import type { ReplicaRequest, SampledToken } from "../replica_protocol.ts";

/** Where a sequence's tokens go. */
export interface TokenSink {
  /** Takes the next token of the output. */
  push(token: SampledToken): void;
  /** No more tokens will come; with an error when the generation failed. */
  close(error?: Error): void;
}

/** One generation in a replica: its ids, and how far its keys and values are computed. */
export class Sequence {
  /** Tokens whose keys and values are in the cache. */
  computed = 0;
  /** Tokens known: prompt and output. */
  length: number;
  /** Its physical pages. */
  readonly table: PageTable = emptyPageTable();
  /** Tokens that a step under way computes. Until it is back, its pages are left alone. */
  inFlight = 0;
  /** Set when nobody reads the output any more; the scheduler drops it before the next step. */
  cancelled = false;
  readonly #ids: Int32Array;
  readonly #limit: number;
  readonly #counts: Map<number, number> | null;
  readonly #eos: ReadonlySet<number>;
  #finished = false;

  /** `context` bounds prompt and output together. */
  constructor(readonly request: ReplicaRequest, readonly sink: TokenSink, context: number) {
    this.length = request.ids.length;
    this.#limit = Math.min(context, request.promptLength + request.maxTokens);
    this.#ids = new Int32Array(Math.max(this.#limit, this.length));
    this.#ids.set(request.ids);
    this.#eos = new Set(request.eosIds);
    this.#counts = hasPenalties(request) ? countTokens(request) : null;
  }

  /** Known tokens that are not computed yet. */
  get pending(): number {
    return this.length - this.computed;
  }

  /** Whether only the newest token is pending, or will be when what is in flight is back. */
  get decoding(): boolean {
    if (this.inFlight > 0) return this.pending === this.inFlight;
    return this.pending === 1 && this.computed > 0;
  }

  /** Distinct tokens with their occurrences in the output; `null` without penalties. */
  get counts(): ReadonlyMap<number, number> | null {
    return this.#counts;
  }

  /** The known tokens, and room for those to come. */
  get store(): Int32Array {
    return this.#ids;
  }

  /** How many tokens in a row are sure to be wanted, whatever they are, unless one ends the output; at least 1. */
  get foreseeable(): number {
    const decodes = this.inFlight === 1 && this.pending === 1 && this.#counts === null;
    return decodes ? Math.max(1, this.#limit - this.length) : 1;
  }

  /** Whether the last token ended the output. */
  get finished(): boolean {
    return this.#finished;
  }

  /** The token at a position. */
  id(position: number): number {
    return this.#ids[position]!;
  }

  /** Appends a sampled token and says whether the generation ends with it. */
  append(id: number): "stop" | "length" | undefined {
    if (this.#counts) this.#counts.set(id, (this.#counts.get(id) ?? 0) + 1);
    if (this.length < this.#ids.length) this.#ids[this.length] = id;
    this.length++;
    const isEnd = this.#eos.has(id);
    this.#finished = isEnd || this.length >= this.#limit;
    if (!this.#finished) return undefined;
    return isEnd ? "stop" : "length";
  }
}

function hasPenalties({ sampling }: ReplicaRequest): boolean {
  const { repetitionPenalty, presencePenalty, frequencyPenalty } = sampling;
  return repetitionPenalty !== 1 || presencePenalty !== 0 || frequencyPenalty !== 0;
}

function countTokens({ ids, promptLength }: ReplicaRequest): Map<number, number> {
  const counts = new Map<number, number>();
  ids.forEach((id, position) =>
    counts.set(id, (counts.get(id) ?? 0) + (position < promptLength ? 0 : 1))
  );
  return counts;
}
