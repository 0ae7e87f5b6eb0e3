/** How a partition is placed, and what it asks of experts held elsewhere. */
import type { KvDType } from "../backend.ts";
import type { Capacity } from "./activations.ts";
import type { LoadProgress } from "./weight_loader.ts";
import type { Range } from "./weights.ts";

/** Rows of one layer with the experts chosen for them. */
export interface ExpertRequest {
  /** The layer, counted over the whole model. */
  readonly layer: number;
  /** Rows. */
  readonly tokens: number;
  /** f32 `[tokens, dim]`: normalised inputs of the feed-forward. */
  readonly x: Float32Array;
  /** i32 `[tokens, topK]`: indices among all experts of the layer; asked of a shard, among those it holds, or -1. */
  readonly experts: Int32Array;
  /** f32 `[tokens, topK]`. */
  readonly weights: Float32Array;
}

/** Computes the weighted sum f32 `[tokens, dim]` over the experts that are held elsewhere. */
export type RemoteExperts = (
  request: ExpertRequest,
  signal?: AbortSignal,
) => Promise<Float32Array>;

/** How to place a partition. */
export interface PartitionOptions {
  /** Its layers. */
  readonly layers: Range;
  /** Largest step. */
  readonly capacity: Capacity;
  /** Physical pages of the KV cache. */
  readonly pages: number;
  /** Tokens a page. */
  readonly pageSize: number;
  /** How keys and values are stored; default `f32`. */
  readonly kvDtype?: KvDType;
  /** Experts of each layer that lie in this partition; default all. */
  readonly localExperts?: Range;
  /** Where the other experts are computed; required unless all are local. */
  readonly remoteExperts?: RemoteExperts;
  /** Told after each tensor. */
  readonly progress?: LoadProgress;
}
