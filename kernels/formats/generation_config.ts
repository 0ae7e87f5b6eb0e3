import { z } from "zod";
import { FormatError } from "./errors.ts";
import { invalidValue } from "./json_file.ts";

/** What a checkpoint says of how to generate with it. Absent values were not stated. */
export interface GenerationConfig {
  /** Token id that begins a text. */
  readonly bosTokenId?: number;
  /** Token ids that end a generation; empty when none is stated. */
  readonly eosTokenIds: readonly number[];
  /** Token id that fills rows. */
  readonly padTokenId?: number;
  /** Whether to sample; otherwise greedy. */
  readonly doSample?: boolean;
  /** Divides the logits; 0 or more. */
  readonly temperature?: number;
  /** Tokens kept, most probable first; 0 = all. */
  readonly topK?: number;
  /** Probability mass kept, 0 to 1. */
  readonly topP?: number;
  /** Least probability kept, relative to the highest, 0 to 1. */
  readonly minP?: number;
  /** Penalty of tokens that occurred; 1 = none. */
  readonly repetitionPenalty?: number;
  /** Most tokens to generate. */
  readonly maxNewTokens?: number;
  /** Most tokens of prompt and generation together. */
  readonly maxLength?: number;
}

const tokenId = z.int().nonnegative();
const share = z.number().min(0).max(1);
const schema = z.object({
  bos_token_id: tokenId.nullish(),
  eos_token_id: z.union([tokenId, z.array(tokenId).max(1024)]).nullish(),
  pad_token_id: z.int().nullish(),
  do_sample: z.boolean().nullish(),
  temperature: z.number().nonnegative().nullish(),
  top_k: z.int().nonnegative().nullish(),
  top_p: share.nullish(),
  min_p: share.nullish(),
  repetition_penalty: z.number().positive().nullish(),
  max_new_tokens: z.int().positive().nullish(),
  max_length: z.int().positive().nullish(),
});

/**
 * Reads `generation_config.json`; special token ids that it does not state come from `config.json`.
 * Unknown keys are ignored. Throws {@link FormatError} `InvalidConfig`; `dir` is for messages.
 */
export function parseGenerationConfig(
  generation: unknown,
  config: unknown,
  dir: string,
): GenerationConfig {
  const stated = parse(generation ?? {}, `${dir}/generation_config.json`);
  const fallback = parse(specialTokens(config), `${dir}/config.json`);
  const eos = stated.eos_token_id ?? fallback.eos_token_id ?? [];
  const pad = stated.pad_token_id ?? fallback.pad_token_id;
  return withoutAbsent({
    bosTokenId: stated.bos_token_id ?? fallback.bos_token_id,
    eosTokenIds: typeof eos === "number" ? [eos] : eos,
    padTokenId: typeof pad === "number" && pad >= 0 ? pad : undefined,
    doSample: stated.do_sample,
    temperature: stated.temperature,
    topK: stated.top_k,
    topP: stated.top_p,
    minP: stated.min_p,
    repetitionPenalty: stated.repetition_penalty,
    maxNewTokens: stated.max_new_tokens,
    maxLength: stated.max_length,
  });
}

function parse(value: unknown, file: string): z.infer<typeof schema> {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new FormatError(
    "InvalidConfig",
    `Cannot read ${file}: ${invalidValue(parsed.error, value)}`,
  );
}

/** Older checkpoints keep sampling defaults in `config.json` too; only its token ids are authoritative. */
function specialTokens(config: unknown): unknown {
  if (typeof config !== "object" || config === null) return {};
  return Object.fromEntries(
    Object.entries(config).filter(([key]) => /^(bos|eos|pad)_token_id$/.test(key)),
  );
}

type Present<T> = { [K in keyof T]?: Exclude<T[K], null | undefined> };

function withoutAbsent<T extends { eosTokenIds: readonly number[] }>(
  fields: T,
): Present<T> & Pick<T, "eosTokenIds"> {
  const present = Object.entries(fields).filter(([, value]) =>
    value !== undefined && value !== null
  );
  return Object.fromEntries(present) as Present<T> & Pick<T, "eosTokenIds">;
}
