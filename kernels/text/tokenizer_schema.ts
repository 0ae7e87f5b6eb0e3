import { z } from "zod";
import { reason, TextError } from "./errors.ts";
import { quote } from "../quote.ts";

/** Token ids stay below this bound, so that a hostile id cannot size a table. */
export const MAX_TOKEN_ID = 1 << 22;

const tokenId = z.int().min(0).max(MAX_TOKEN_ID);
const addedToken = z.looseObject({
  id: tokenId,
  content: z.string(),
  special: z.boolean().optional(),
});

const vocabulary = z.union([
  z.record(z.string(), tokenId),
  z.array(z.tuple([z.string(), z.number()])).max(MAX_TOKEN_ID),
]);

const decoder = z.looseObject({ type: z.string() });

const tokenizerSchema = z.looseObject({
  model: z.looseObject({ vocab: vocabulary, merges: z.array(z.unknown()).optional() }),
  added_tokens: z.array(addedToken).max(MAX_TOKEN_ID).nullish(),
  decoder: decoder.nullish(),
});

const specialToken = z.union([z.string(), z.looseObject({ content: z.string() })]).nullish()
  .transform((token) => typeof token === "string" ? token : token?.content);

const configSchema = z.looseObject({
  bos_token: specialToken,
  eos_token: specialToken,
  pad_token: specialToken,
  unk_token: specialToken,
  additional_special_tokens: z.array(specialToken).nullish(),
});

/** `tokenizer.json` as far as it is read here. */
export type TokenizerFile = z.infer<typeof tokenizerSchema>;

/** `tokenizer_config.json` as far as it is read here, special tokens as their text. */
export type TokenizerConfig = z.infer<typeof configSchema>;

/** One step of a decoder pipeline. */
export type DecoderStep = z.infer<typeof decoder>;

/** Checks `tokenizer.json`. Throws `NotFound` when it is `undefined`, else `InvalidTokenizer`. */
export function parseTokenizerFile(json: unknown): TokenizerFile {
  if (json === undefined) {
    throw new TextError("NotFound", "Cannot load tokenizer: the model has no tokenizer.json");
  }
  return parse(tokenizerSchema, json, "tokenizer.json");
}

/** Checks `tokenizer_config.json`; `undefined` counts as an empty one. Throws `InvalidTokenizer`. */
export function parseTokenizerConfig(json: unknown): TokenizerConfig {
  return parse(configSchema, json ?? {}, "tokenizer_config.json");
}

function parse<T>(schema: z.ZodType<T>, json: unknown, file: string): T {
  const parsed = schema.safeParse(json);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const path = issue?.path.map(String).join(".") || "the file";
  const fault = `${quote(path)} ${reason(issue?.message ?? "is invalid")}`;
  throw new TextError("InvalidTokenizer", `Cannot load ${file}: ${fault}`);
}
