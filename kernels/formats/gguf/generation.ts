import { type GenerationConfig, parseGenerationConfig } from "../generation_config.ts";
import type { Metadata } from "./metadata.ts";

const CONTROL = 3;

/** Control tokens that end a turn of a chat; files often name only one of them. */
const TURN_ENDS = new Set([
  "<|eot_id|>",
  "<|eom_id|>",
  "<|im_end|>",
  "<|end|>",
  "<|endoftext|>",
  "<|end_of_text|>",
  "<end_of_turn>",
  "<|EOT|>",
]);

/** How to generate with a GGUF model: its special token ids, every token that ends a turn among them. */
export function generationOf(metadata: Metadata, file: string): GenerationConfig {
  const named = ["eos_token_id", "eot_token_id", "eom_token_id"].map((key) => metadata.token(key));
  const types = metadata.list("tokenizer.ggml.token_type");
  const ends = metadata.list("tokenizer.ggml.tokens").flatMap((token, id) =>
    types[id] === CONTROL && TURN_ENDS.has(token as string) ? [id] : []
  );
  const eos = new Set([...named.filter((id) => id !== undefined), ...ends]);
  const generation = {
    bos_token_id: metadata.token("bos_token_id"),
    eos_token_id: [...eos].slice(0, 1024),
    pad_token_id: metadata.token("padding_token_id"),
  };
  return parseGenerationConfig(generation, {}, file);
}
