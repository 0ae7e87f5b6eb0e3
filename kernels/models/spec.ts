/** The facts of a model that its graph needs. */

/** Frequencies of the rotary embedding, as in Hugging Face's `rope_scaling`. */
export type RotaryScaling =
  | {
    /** Frequencies as they are. */
    readonly kind: "default";
  }
  | {
    /** All frequencies divided by one factor. */
    readonly kind: "linear";
    /** What they are divided by. */
    readonly factor: number;
  }
  | {
    /** Low frequencies divided, high ones kept, those between interpolated. */
    readonly kind: "llama3";
    /** What low frequencies are divided by. */
    readonly factor: number;
    /** Turns over `originalPositions` below which a frequency is low. */
    readonly lowFrequencyFactor: number;
    /** Turns over `originalPositions` above which a frequency is high. */
    readonly highFrequencyFactor: number;
    /** Context length of the pretraining. */
    readonly originalPositions: number;
  };

/** The mixture-of-experts part of a model. */
export interface MixtureSpec {
  /** Experts of a sparse layer. */
  readonly experts: number;
  /** Experts chosen for each token. */
  readonly topK: number;
  /** Hidden width of one expert. */
  readonly ffn: number;
  /** Whether the weights of the chosen experts are divided by their sum. */
  readonly normalise: boolean;
  /** Hidden width of the shared expert; 0 = none. */
  readonly sharedFfn: number;
  /** Which layers are sparse. */
  readonly layers: readonly boolean[];
}

/** The model lines that the graphs cover. */
export type Architecture =
  | "llama"
  | "mistral"
  | "qwen2"
  | "qwen3"
  | "mixtral"
  | "qwen2_moe"
  | "qwen3_moe"
  | "olmoe";

/** A decoder-only transformer of the Llama line. */
export interface ModelSpec {
  /** The model line. */
  readonly architecture: Architecture;
  /** Width of the residual stream. */
  readonly dim: number;
  /** Number of layers. */
  readonly layers: number;
  /** Query heads. */
  readonly heads: number;
  /** Key-value heads; divides `heads`. */
  readonly kvHeads: number;
  /** Width of one head; even. */
  readonly headDim: number;
  /** Hidden width of a dense feed-forward. */
  readonly ffn: number;
  /** Tokens of the vocabulary. */
  readonly vocab: number;
  /** Longest sequence. */
  readonly maxPositions: number;
  /** Added to the mean square of every RMSNorm. */
  readonly eps: number;
  /** Base of the rotary frequencies. */
  readonly theta: number;
  /** How the rotary frequencies are scaled. */
  readonly scaling: RotaryScaling;
  /** Whether queries, keys and values have biases. */
  readonly qkvBias: boolean;
  /** Whether the attention's output projection has a bias. */
  readonly outputBias: boolean;
  /** RMSNorm of queries and keys before the rotation: of every head (Qwen3), or of the whole row (OLMoE). */
  readonly queryKeyNorm: "none" | "head" | "row";
  /** Sliding window of each layer; `undefined` = full attention. */
  readonly windows: readonly (number | undefined)[];
  /** Whether the head is the embedding table. */
  readonly tiedEmbeddings: boolean;
  /** The mixture of experts; absent from dense models. */
  readonly mixture?: MixtureSpec;
}
