/**
 * The closed families of messages below a router: of replicas, partitions and expert shards. All are plain
 * data, as those of the routers.
 */
import type { ExpertRequest, Step, StepResult } from "../kernels/mod.ts";
import type { SamplingOptions } from "./protocol.ts";

/** A generation as a replica sees it: token ids and nothing of text. */
export interface ReplicaRequest {
  /** The caller's name of the request. */
  readonly id: string;
  /** Prompt and, on resumption, the tokens generated before. */
  readonly ids: Int32Array;
  /** Where the output begins in `ids`: the prompt's length. */
  readonly promptLength: number;
  /** Most tokens of output, those in `ids` included. */
  readonly maxTokens: number;
  /** Token ids that end the output; empty = only the length does. */
  readonly eosIds: readonly number[];
  /** How tokens are drawn; nothing is left to a default. */
  readonly sampling: SamplingOptions & { readonly seed: number };
  /** Alternatives to report, 0 to 20. */
  readonly alternatives: number;
}

/** One sampled token with its confidence statistics; log-probabilities of the raw logits, in nats. */
export interface SampledToken {
  /** Its index in the vocabulary. */
  readonly id: number;
  /** Its log-probability. */
  readonly logprob: number;
  /** Difference between the two highest log-probabilities. */
  readonly margin: number;
  /** Entropy of the distribution. */
  readonly entropy: number;
  /** The most probable tokens, best first; absent when none were asked for. */
  readonly top?: readonly { readonly id: number; readonly logprob: number }[];
  /** Set on the last token. */
  readonly finish?: "stop" | "length";
  /** Requests that run and wait at the replica, this one included: what routers route by. */
  readonly queue?: number;
}

/** A replica: one running copy of a level. */
export interface ReplicaProtocol {
  /**
   * Streams the output's tokens. Throws `Overloaded` when the queue is full, and `Moved` when the replica is
   * draining: at once, or after any token. Another replica then goes on from the ids so far.
   */
  generate(request: ReplicaRequest): AsyncIterable<SampledToken>;
  /**
   * Takes no more requests, and ends every running one with `Moved` after its next token. Answers when none is left
   * and all tokens are read, or two seconds later.
   */
  drain(): void;
  /** Reports its load. */
  status(): ReplicaLoad;
}

/** What a replica reports of itself. */
export interface ReplicaLoad {
  /** The version of its build. */
  readonly version: string;
  /** Whether it takes no more requests. */
  readonly draining: boolean;
  /** Sequences in the batch. */
  readonly running: number;
  /** Requests in the queue. */
  readonly waiting: number;
  /** Pages in use and in all. */
  readonly pages: readonly [used: number, total: number];
  /** Micro-batches on their way through the partitions, and the most that may be. */
  readonly microBatches: readonly [inFlight: number, most: number];
  /** Steps computed since its start. */
  readonly steps: number;
  /** Tokens computed since its start, those of prompts included. */
  readonly tokens: number;
  /** Sequences that lost their pages to others since its start. */
  readonly preemptions: number;
  /** Milliseconds since its start in which a step was under way. */
  readonly busyMs: number;
}

/** Activations between devices: as computed, or rounded to half the bytes. */
export type WireFloats = Float32Array | Float16Array;

/** How activations travel between devices; `f16` rounds them, so that greedy text may differ. */
export type WireFormat = "f32" | "f16";

/** A step as a replica asks it of one of its partitions. */
export interface PartitionStep {
  /** Names the step among all steps of all replicas. */
  readonly id: string;
  /** The step; arrays that this partition does not read are empty. */
  readonly step: Step;
  /** Address of the partition that takes its hidden states; absent for the last. */
  readonly next?: string;
}

/** The output of a step's partition on its way to the next one. */
export interface HiddenStates {
  /** The step that it belongs to. */
  readonly id: string;
  /** `[tokens, dim]`. */
  readonly hidden: WireFloats;
}

/** A partition: a range of a replica's layers on one device. */
export interface PartitionProtocol {
  /**
   * Computes a step, once the hidden states of the partition before have come, and passes its own on to the
   * next. The last partition answers with samples, others with `null`.
   */
  step(step: PartitionStep): StepResult | null;
  /** Takes the hidden states of the partition before. */
  hidden(states: HiddenStates): void;
}

/** Rows of one layer as an expert shard is asked for them. */
export interface ShardRequest extends Omit<ExpertRequest, "x"> {
  /** `[tokens, dim]`. */
  readonly x: WireFloats;
}

/** An expert shard: some experts of some layers. */
export interface ExpertShardProtocol {
  /** Weighted sum of its experts' outputs, one row a token, in the format of `x`. */
  apply(request: ShardRequest): WireFloats;
}
