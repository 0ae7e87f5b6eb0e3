import { z } from "zod";
import { reason, TextError } from "../errors.ts";
import { quote } from "../../quote.ts";
import { MAX_TOKEN_ID } from "../tokenizer_schema.ts";

/** Kinds of tokens, by the number in `tokenizer.ggml.token_type`. */
export const TOKEN_TYPE = { unknown: 2, control: 3, userDefined: 4, byte: 6 } as const;

const tokenId = z.number().optional();
const strings = z.array(z.string()).max(MAX_TOKEN_ID);
const numbers = z.array(z.number()).max(MAX_TOKEN_ID);

const schema = z.object({
  model: z.string(),
  pre: z.string().optional(),
  tokens: strings,
  token_type: numbers.optional(),
  scores: numbers.optional(),
  merges: strings.optional(),
  bos_token_id: tokenId,
  eos_token_id: tokenId,
  padding_token_id: tokenId,
  unknown_token_id: tokenId,
  add_bos_token: z.boolean().optional(),
  add_eos_token: z.boolean().optional(),
  add_space_prefix: z.boolean().optional(),
});

/** What a GGUF file says of its vocabulary, under the names of its `tokenizer.ggml.` keys. */
export type GgufVocabulary = z.infer<typeof schema>;

const PREFIX = "tokenizer.ggml.";

/** Reads the vocabulary; `undefined` without one. Throws {@link TextError} `InvalidTokenizer`. */
export function readVocabulary(metadata: ReadonlyMap<string, unknown>): GgufVocabulary | undefined {
  const model = metadata.get(`${PREFIX}model`);
  if (model === undefined || model === "none" || model === "no_vocab") return undefined;
  const stated = Object.keys(schema.shape).map((key) => [key, metadata.get(PREFIX + key)]);
  const parsed = schema.safeParse(Object.fromEntries(stated));
  if (parsed.success) return checkLengths(parsed.data);
  const [issue] = parsed.error.issues;
  const fault = `${PREFIX}${issue?.path.map(String).join(".")} ${reason(issue?.message)}`;
  throw new TextError("InvalidTokenizer", `Cannot load tokenizer of GGUF file: ${fault}`);
}

function checkLengths(vocabulary: GgufVocabulary): GgufVocabulary {
  const { tokens, token_type: types, scores } = vocabulary;
  for (const [key, list] of [["token_type", types], ["scores", scores]] as const) {
    if (list === undefined || list.length === tokens.length) continue;
    const lengths = `${quote(list.length)} entries of ${key} for ${tokens.length} tokens`;
    throw new TextError("InvalidTokenizer", `Cannot load tokenizer of GGUF file: ${lengths}`);
  }
  return vocabulary;
}
