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
}

/** A replica: one running copy of a level. */
export interface ReplicaProtocol {
  /** Streams the output's tokens. Throws `Overloaded` when the queue is full. */
  generate(request: ReplicaRequest): AsyncIterable<SampledToken>;
  /** Reports its load. */
  status(): ReplicaLoad;
}

/** What a replica reports of itself. */
export interface ReplicaLoad {
  /** Sequences in the batch. */
  readonly running: number;
  /** Requests in the queue. */
  readonly waiting: number;
  /** Pages in use and in all. */
  readonly pages: readonly [used: number, total: number];
  /** Steps computed since its start. */
  readonly steps: number;
  /** Tokens computed since its start, those of prompts included. */
  readonly tokens: number;
  /** Sequences that lost their pages to others since its start. */
  readonly preemptions: number;
  /** Milliseconds spent on steps since its start. */
  readonly busyMs: number;
}

/** A partition: a range of a replica's layers on one device. */
export interface PartitionProtocol {
  /** Computes a step; the last partition answers with samples, others with hidden states. */
  step(step: Step): StepResult;
}

/** An expert shard: some experts of a range of layers. */
export interface ExpertShardProtocol {
  /** Weighted sum of its experts' outputs, one row a token. */
  apply(request: ExpertRequest): Float32Array;
}
