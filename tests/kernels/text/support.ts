import { Tokenizer as Encoder } from "@huggingface/tokenizers";
import { loadTokenizer, type Tokenizer } from "../../../kernels/text/mod.ts";

/** A tokenizer under test, and the field's own decoder to compare with. */
export interface Subject {
  readonly tokenizer: Tokenizer;
  decodeWhole(ids: number[], skipSpecialTokens: boolean): string;
}

/** GPT-2's vocabulary and merges in the form of a tokenizer.json. */
export function gpt2TokenizerJson(dir: string): unknown {
  const vocab = JSON.parse(Deno.readTextFileSync(`${dir}/encoder.json`));
  const merges = Deno.readTextFileSync(`${dir}/vocab.bpe`).split("\n").slice(1);
  const byteLevel = { type: "ByteLevel", add_prefix_space: false, trim_offsets: true };
  return {
    version: "1.0",
    added_tokens: [{ id: 50256, content: "<|endoftext|>", special: true, normalized: false }],
    normalizer: null,
    pre_tokenizer: { ...byteLevel, use_regex: true },
    post_processor: null,
    decoder: byteLevel,
    model: { type: "BPE", vocab, merges: merges.filter((merge) => merge !== "") },
  };
}

/** A subject from a model folder's tokenizer files. */
export function subjectOf(dir: string): Subject {
  const read = (file: string) => JSON.parse(Deno.readTextFileSync(`${dir}/${file}`));
  return subject(read("tokenizer.json"), read("tokenizer_config.json"));
}

/** A subject from parsed tokenizer files. */
export function subject(tokenizerJson: unknown, config: object = {}): Subject {
  const encoder = new Encoder(tokenizerJson as object, config);
  return {
    tokenizer: loadTokenizer(tokenizerJson, config),
    decodeWhole: (ids, skip_special_tokens) =>
      ids.length === 0
        ? ""
        : encoder.decode(ids, { skip_special_tokens, clean_up_tokenization_spaces: false }),
  };
}
