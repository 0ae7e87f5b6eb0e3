/**
 * The closed family of messages to and from a family's router. All are plain data: they pass between isolates
 * by structured clone and between nodes by the wire codec.
 */

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
  /** Who speaks, by the name that the template knows: `system`, `user`, `assistant`. */
  readonly role: string;
  /** What is said. */
  readonly content: string;
  /** The speaker's name, for templates that show it; absent = none. */
  readonly name?: string;
}

/** What to continue. */
export type Prompt =
  | { readonly kind: "messages"; readonly messages: readonly ChatMessage[] }
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "ids"; readonly ids: readonly number[] };

/** One generation asked of a family's router. */
export interface GenerateRequest {
  /** The caller's name of the request, for logs and answers. */
  readonly id: string;
  /** A level's name for direct access; absent = the cascade. */
  readonly level?: string;
  /** What to continue. */
  readonly prompt: Prompt;
  /** Absent = the model's default, or what is left of its context. */
  readonly maxTokens?: number;
  /** Texts that end the output and are cut from it; empty = none. */
  readonly stop: readonly string[];
  /** Absent fields take the model's `generation_config.json`, then neutral values. */
  readonly sampling: Partial<SamplingOptions>;
  /** Alternatives to report for every token, 0 to 20; absent = no log-probabilities wanted. */
  readonly logprobs?: number;
  /** The answer so far of a router that was lost; absent = the answer begins here. */
  readonly resume?: Resume;
}

/**
 * An answer as far as its reader has it: what another router needs to go on without gap or repeat. The
 * request must name its seed then.
 */
export interface Resume {
  /** Level that answers, as told by `begin`. */
  readonly level: string;
  /** Content hash of its model, as told by `begin`: under another the ids mean something else. */
  readonly model: string;
  /** Levels visited before it, as told by `begin`. */
  readonly path: readonly Visit[];
  /** Ids of all tokens received. */
  readonly ids: readonly number[];
  /** Their log-probabilities, in nats. */
  readonly logprobs: readonly number[];
  /** UTF-16 units of all text received. */
  readonly characters: number;
}

/** A token with its log-probability. */
export interface TokenLogprob {
  /** Its text; a part of a character shows as U+FFFD. */
  readonly token: string;
  /** Its UTF-8 bytes, 0 to 255 each; empty where it stands for none. */
  readonly bytes: readonly number[];
  /** Log-probability of the raw logits, in nats. */
  readonly logprob: number;
}

/** One generated token as reported to a client. */
export interface GeneratedToken extends TokenLogprob {
  /** Its index in the vocabulary. */
  readonly id: number;
  /** The most probable tokens in its place, best first; empty when none were asked for. */
  readonly top: readonly TokenLogprob[];
}

/** One level that a request visited. */
export interface Visit {
  /** The level's name. */
  readonly level: string;
  /** The level's confidence in its answer; of an abandoned answer, that of the tokens so far. */
  readonly confidence: number | null;
  /** What the confidence was compared with; `null` where nothing was decided. */
  readonly threshold: number | null;
  /** Whether its answer was given, or the next level asked. */
  readonly outcome: "accepted" | "escalated";
  /** Tokens that it generated. */
  readonly tokens: number;
  /** Time from the first look at the prompt to the decision. */
  readonly milliseconds: number;
}

/** How a request was answered. */
export interface Route {
  /** Name of the level that answered. */
  readonly level: string;
  /** Its confidence in the answer, a log-probability in nats; `null` of no tokens. */
  readonly confidence: number | null;
  /** Every level visited, in order; the last one answered. */
  readonly path: readonly Visit[];
}

/** Tokens that a request used. */
export interface Usage {
  /** Tokens of the prompt, as the answering level encodes it. */
  readonly promptTokens: number;
  /** Tokens that the answering level generated. */
  readonly completionTokens: number;
}

/**
 * What a router streams back: one `begin`, any number of `text`, then one `end`. Failures end the stream with an
 * `ActorError`.
 */
export type GenerateEvent = BeginEvent | TextEvent | EndEvent;

/** It is settled which level gives the answer. */
export interface BeginEvent {
  /** Which event it is. */
  readonly type: "begin";
  /** The level's name. */
  readonly level: string;
  /** Content hash of its model. */
  readonly model: string;
  /** Levels visited before it. */
  readonly path: readonly Visit[];
  /** Tokens of the prompt, as the level encodes it. */
  readonly promptTokens: number;
  /** Tokens taken over from the request's `resume`. */
  readonly resumed: number;
  /** Requests that the router is answering, this one included. */
  readonly load: number;
}

/** More of the answer. */
export interface TextEvent {
  /** Which event it is. */
  readonly type: "text";
  /** Text that became final. */
  readonly text: string;
  /** The tokens that it ends with. */
  readonly tokens: readonly GeneratedToken[];
}

/** The end of the answer. */
export interface EndEvent {
  /** Which event it is. */
  readonly type: "end";
  /** Whether it came to its end or to the most tokens. */
  readonly finish: "stop" | "length";
  /** Tokens that it used, those of a resumed answer's first part included. */
  readonly usage: Usage;
  /** Which levels were visited for it. */
  readonly route: Route;
}

/** A level as the edge lists it. */
export interface LevelSummary {
  /** Its name within the family. */
  readonly name: string;
  /** Architecture of its model, as in `config.json`. */
  readonly architecture: string;
  /** Content hash of its model's folder. */
  readonly model: string;
  /** Tokens of one sequence, prompt and output. */
  readonly context: number;
  /** Least confidence that accepts an answer; `null` accepts all. */
  readonly threshold: number | null;
  /** Its replicas, dead ones included. */
  readonly replicas: readonly ReplicaSummary[];
}

/** Load of one replica. */
export interface ReplicaSummary {
  /** Address of its actor. */
  readonly address: string;
  /** Whether it answers; all counts of one that does not are 0. */
  readonly alive: boolean;
  /** Sequences in its batch. */
  readonly running: number;
  /** Requests in its queue. */
  readonly waiting: number;
  /** Pages in use and in all. */
  readonly pages: readonly [used: number, total: number];
  /** Steps that it has computed since its start; `null` when it does not answer. */
  readonly steps: number | null;
}

/** State of a family. */
export interface FamilyStatus {
  /** Its name. */
  readonly family: string;
  /** Whether every level has a live replica. */
  readonly ready: boolean;
  /** Its levels, small to giant. */
  readonly levels: readonly LevelSummary[];
  /** Requests since the router started. */
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
  /** HTTP status of the answer. */
  readonly status: 400 | 404 | 413;
  /** `error.code` of the answer. */
  readonly code: string;
  /** The request's field at fault; absent = none in particular. */
  readonly param?: string;
}

/** A family's confidence router. */
export interface RouterProtocol {
  /**
   * Streams one answer. Refuses with {@link RefusalDetails} what no level can answer, and with `Moved` a
   * `resume` of a model that it does not have.
   */
  generate(request: GenerateRequest): AsyncIterable<GenerateEvent>;
  /** Reports the family and its levels. */
  status(): FamilyStatus;
}
