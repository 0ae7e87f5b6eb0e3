/** The byte-level alphabet of GPT-2: every byte as one printable character. */
function byteAlphabet(): string[] {
  const printable = (b: number) =>
    (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || (b >= 174 && b <= 255);
  let next = 256;
  return Array.from({ length: 256 }, (_, b) => String.fromCharCode(printable(b) ? b : next++));
}

/** Tokens of a model whose text does not matter: the bytes, two marks, and unused ones. */
export function placeholderTokens(vocab: number): string[] {
  const named = [...byteAlphabet(), "<s>", "</s>"];
  if (vocab < named.length) throw new Error(`Cannot fit a byte tokenizer: vocabulary of ${vocab}`);
  return Array.from({ length: vocab }, (_, id) => named[id] ?? `<unused_${id}>`);
}

/** `tokenizer.json` of a byte-level BPE without merges over `placeholderTokens`. */
export function tokenizerJson(vocab: number): Record<string, unknown> {
  const tokens = placeholderTokens(vocab);
  const byteLevel = {
    type: "ByteLevel",
    add_prefix_space: false,
    trim_offsets: true,
    use_regex: false,
  };
  const special = { single_word: false, lstrip: false, rstrip: false, normalized: false };
  return {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: [256, 257].map((id) => ({ id, content: tokens[id], ...special, special: true })),
    normalizer: null,
    pre_tokenizer: byteLevel,
    post_processor: null,
    decoder: byteLevel,
    model: {
      type: "BPE",
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
      merges: [],
    },
  };
}

/** `tokenizer_config.json` to go with `tokenizerJson`. */
export function tokenizerConfigJson(contextLength: number): Record<string, unknown> {
  return {
    tokenizer_class: "PreTrainedTokenizerFast",
    bos_token: "<s>",
    eos_token: "</s>",
    add_bos_token: false,
    clean_up_tokenization_spaces: false,
    model_max_length: contextLength,
  };
}
