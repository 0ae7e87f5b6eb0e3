/**
 * The closed families of messages between the actors that serve. All are plain data: they pass between
 * isolates by structured clone and between nodes by the wire codec.
 */
import type { ExpertRequest, Step, StepResult } from "../kernels/mod.ts";

/** How the next token is drawn. */
export interface SamplingOptions {
  /** 0 = greedy. */
  readonly temperature: number;
  /** 0 = off. */
  readonly topK: number;
  /** 1 = off. */
  readonly topP: number;
  /** 0 = off. */
  readonly minP: number;
  /** 1 = off. */
  readonly repetitionPenalty: number;
  /** 0 = off. */
  readonly presencePenalty: number;
  /** 0 = off. */
  readonly frequencyPenalty: number;
  /** The low 53 bits count; absent = the router draws one. */
  readonly seed?: number;
}

/** A chat message as the chat template sees it. */
export interface ChatMessage {
  readonly role: string;
  readonly content: string;
  readonly name?: string;
}

/** What to continue. */
export type Prompt =
  | { readonly kind: "messages"; readonly messages: readonly ChatMessage[] }
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "ids"; readonly ids: readonly number[] };

/** One generation asked of a family's router. */
export interface GenerateRequest {
  readonly id: string;
  /** A level's name for direct access; absent = the cascade. */
  readonly level?: string;
  readonly prompt: Prompt;
  /** Absent = the model's default, or what is left of its context. */
  readonly maxTokens?: number;
  readonly stop: readonly string[];
  /** Absent fields take the model's `generation_config.json`, then neutral values. */
  readonly sampling: Partial<SamplingOptions>;
  /** Alternatives to report for every token, 0 to 20; absent = no log-probabilities wanted. */
  readonly logprobs?: number;
}

/** A token with its log-probability. */
export interface TokenLogprob {
  readonly token: string;
  readonly bytes: readonly number[];
  readonly logprob: number;
}

/** One generated token as reported to a client. */
export interface GeneratedToken extends TokenLogprob {
  readonly id: number;
  readonly top: readonly TokenLogprob[];
}

/** One level that a request visited. */
export interface Visit {
  readonly level: string;
  /** The level's confidence in its answer; of an abandoned answer, that of the tokens so far. */
  readonly confidence: number | null;
  /** What the confidence was compared with; `null` where nothing was decided. */
  readonly threshold: number | null;
  readonly outcome: "accepted" | "escalated";
  readonly tokens: number;
  readonly milliseconds: number;
}

/** How a request was answered. */
export interface Route {
  readonly level: string;
  readonly confidence: number | null;
  readonly path: readonly Visit[];
}

/** Tokens that a request used. */
export interface Usage {
  readonly promptTokens: number;
  readonly completionTokens: number;
}

/** What a router streams back: any number of `text`, then one `end`. Failures end the stream with an `ActorError`. */
export type GenerateEvent =
  | { readonly type: "text"; readonly text: string; readonly tokens: readonly GeneratedToken[] }
  | {
    readonly type: "end";
    readonly finish: "stop" | "length";
    readonly usage: Usage;
    readonly route: Route;
  };

/** A level as the edge lists it. */
export interface LevelSummary {
  readonly name: string;
  readonly architecture: string;
  readonly model: string;
  readonly context: number;
  readonly threshold: number | null;
  readonly replicas: readonly ReplicaSummary[];
}

/** Load of one replica. */
export interface ReplicaSummary {
  readonly address: string;
  readonly alive: boolean;
  readonly running: number;
  readonly waiting: number;
  /** Pages in use and in all. */
  readonly pages: readonly [used: number, total: number];
}

/** State of a family. */
export interface FamilyStatus {
  readonly family: string;
  readonly ready: boolean;
  readonly levels: readonly LevelSummary[];
  readonly requests: {
    readonly running: number;
    readonly finished: number;
    readonly failed: number;
  };
  /** Requests that each level answered. */
  readonly answered: Readonly<Record<string, number>>;
}

/**
 * Details of an `ActorError` with code `AppError` that is the caller's fault; the edge answers with `status`
 * and the OpenAI shape.
 */
export interface RefusalDetails {
  readonly status: 400 | 404 | 413;
  readonly code: string;
  readonly param?: string;
}

/** A family's confidence router. */
export interface RouterProtocol {
  generate(request: GenerateRequest): AsyncIterable<GenerateEvent>;
  status(): FamilyStatus;
}

/** A generation as a replica sees it: token ids and nothing of text. */
export interface ReplicaRequest {
  readonly id: string;
  /** Prompt and, on resumption, the tokens generated before. */
  readonly ids: Int32Array;
  /** Where the output begins in `ids`: the prompt's length. */
  readonly promptLength: number;
  /** Most tokens of output, those in `ids` included. */
  readonly maxTokens: number;
  readonly eosIds: readonly number[];
  readonly sampling: SamplingOptions & { readonly seed: number };
  /** Alternatives to report, 0 to 20. */
  readonly alternatives: number;
}

/** One sampled token with its confidence statistics; log-probabilities of the raw logits, in nats. */
export interface SampledToken {
  readonly id: number;
  readonly logprob: number;
  readonly margin: number;
  readonly entropy: number;
  readonly top?: readonly { readonly id: number; readonly logprob: number }[];
  /** Set on the last token. */
  readonly finish?: "stop" | "length";
}

/** A replica: one running copy of a level. */
export interface ReplicaProtocol {
  generate(request: ReplicaRequest): AsyncIterable<SampledToken>;
  status(): ReplicaLoad;
}

/** What a replica reports of itself. */
export interface ReplicaLoad {
  readonly running: number;
  readonly waiting: number;
  readonly pages: readonly [used: number, total: number];
  readonly steps: number;
  readonly tokens: number;
  readonly preemptions: number;
  readonly busyMs: number;
}

/** A partition: a range of a replica's layers on one device. */
export interface PartitionProtocol {
  step(step: Step): StepResult;
}

/** An expert shard: some experts of a range of layers. */
export interface ExpertShardProtocol {
  apply(request: ExpertRequest): Float32Array;
}
