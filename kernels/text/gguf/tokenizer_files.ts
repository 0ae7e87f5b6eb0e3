/** Tokenizers of GGUF files in the form of Hugging Face's tokenizer files. */
import { quote, TextError } from "../errors.ts";
import { type PreTokenizer, preTokenizerNamed } from "./pre_tokenizers.ts";
import { type GgufVocabulary, readVocabulary, TOKEN_TYPE } from "./schema.ts";
import { mergesByScore } from "./score_merges.ts";

const SPACE = "\u2581";

/** The two files that a tokenizer is loaded from; `undefined` when the model has no vocabulary. */
export interface GgufTokenizerFiles {
  /** As `tokenizer.json`. */
  readonly tokenizerJson: Readonly<Record<string, unknown>> | undefined;
  /** As `tokenizer_config.json`, chat templates included. */
  readonly tokenizerConfig: Readonly<Record<string, unknown>> | undefined;
}

/**
 * Builds tokenizer files from the metadata of a GGUF file. Throws {@link TextError} `InvalidTokenizer`, or
 * `Unsupported` for a `tokenizer.ggml.model` other than "llama" (SentencePiece) and "gpt2" (byte-level), and
 * for a `tokenizer.ggml.pre` that is not known.
 */
export function ggufTokenizer(metadata: ReadonlyMap<string, unknown>): GgufTokenizerFiles {
  const vocabulary = readVocabulary(metadata);
  if (vocabulary === undefined) return { tokenizerJson: undefined, tokenizerConfig: undefined };
  const { tokenizerJson, addsBos } = convert(vocabulary);
  const token = (id: number | undefined) => id === undefined ? undefined : vocabulary.tokens[id];
  const added = specialFlags(vocabulary, addsBos);
  const config = {
    bos_token: token(vocabulary.bos_token_id),
    eos_token: token(vocabulary.eos_token_id),
    pad_token: token(vocabulary.padding_token_id),
    unk_token: token(unknownId(vocabulary)),
    add_bos_token: added.bos !== undefined,
    add_eos_token: added.eos !== undefined,
    clean_up_tokenization_spaces: false,
    chat_template: chatTemplates(metadata),
  };
  const stated = Object.entries(config).filter(([, value]) => value !== undefined);
  return {
    tokenizerJson: {
      version: "1.0",
      added_tokens: addedTokens(vocabulary),
      ...tokenizerJson,
      post_processor: postProcessor(vocabulary, added),
    },
    tokenizerConfig: Object.fromEntries(stated),
  };
}

interface Converted {
  readonly tokenizerJson: Record<string, unknown>;
  readonly addsBos: boolean;
}

function convert(vocabulary: GgufVocabulary): Converted {
  if (vocabulary.model === "llama") return convertSentencePiece(vocabulary);
  if (vocabulary.model === "gpt2") {
    const pre = preTokenizerNamed(vocabulary.pre ?? "default");
    return { tokenizerJson: byteLevel(vocabulary, pre), addsBos: pre.addsBos ?? false };
  }
  throw new TextError(
    "Unsupported",
    `Cannot load tokenizer.ggml.model (known: llama, gpt2): ${quote(vocabulary.model)}`,
  );
}

function convertSentencePiece(vocabulary: GgufVocabulary): Converted {
  const { tokens, scores, token_type: types } = vocabulary;
  if (scores === undefined) {
    throw new TextError("InvalidTokenizer", "Cannot load tokenizer of GGUF file: it has no scores");
  }
  const special: number[] = [TOKEN_TYPE.unknown, TOKEN_TYPE.control, TOKEN_TYPE.byte];
  const isMergeable = (id: number) => !special.includes(types?.[id] ?? 1);
  const hasPrefix = vocabulary.add_space_prefix ?? true;
  const replace = (from: string, to: string) => ({
    type: "Replace",
    pattern: { String: from },
    content: to,
  });
  const prepend = hasPrefix ? [{ type: "Prepend", prepend: SPACE }] : [];
  const strip = hasPrefix ? [{ type: "Strip", content: " ", start: 1, stop: 0 }] : [];
  const tokenizerJson = {
    normalizer: { type: "Sequence", normalizers: [...prepend, replace(" ", SPACE)] },
    pre_tokenizer: null,
    decoder: {
      type: "Sequence",
      decoders: [replace(SPACE, " "), { type: "ByteFallback" }, { type: "Fuse" }, ...strip],
    },
    model: {
      type: "BPE",
      unk_token: unknownToken(vocabulary),
      fuse_unk: true,
      byte_fallback: true,
      vocab: vocabOf(tokens),
      merges: mergesByScore(tokens, scores, isMergeable),
    },
  };
  return { tokenizerJson, addsBos: true };
}

function byteLevel({ tokens, merges }: GgufVocabulary, pre: PreTokenizer): Record<string, unknown> {
  const level = { type: "ByteLevel", add_prefix_space: false, trim_offsets: true };
  const splits = pre.splits.map((expression) => ({
    type: "Split",
    pattern: { Regex: expression },
    behavior: "Isolated",
    invert: false,
  }));
  return {
    normalizer: pre.composes ? { type: "NFC" } : null,
    pre_tokenizer: { type: "Sequence", pretokenizers: [...splits, { ...level, use_regex: false }] },
    decoder: level,
    model: {
      type: "BPE",
      unk_token: null,
      ignore_merges: pre.ignoresMerges ?? false,
      vocab: vocabOf(tokens),
      merges: (merges ?? []).map(pairOf),
    },
  };
}

/** A token of a merge may begin with a space, none holds one further in. */
function pairOf(merge: string): [string, string] {
  const space = merge.indexOf(" ", 1);
  if (space > 0) return [merge.slice(0, space), merge.slice(space + 1)];
  throw new TextError(
    "InvalidTokenizer",
    `Cannot read merge of tokenizer.ggml.merges: ${quote(merge)}`,
  );
}

function vocabOf(tokens: readonly string[]): Record<string, number> {
  return Object.fromEntries(tokens.map((token, id) => [token, id]));
}

function addedTokens({ tokens, token_type: types }: GgufVocabulary): object[] {
  const special: number[] = [TOKEN_TYPE.control, TOKEN_TYPE.unknown];
  return tokens.flatMap((content, id) => {
    const type = types?.[id] ?? 1;
    if (content === "" || (type !== TOKEN_TYPE.userDefined && !special.includes(type))) return [];
    return [{ id, content, special: special.includes(type), normalized: false }];
  });
}

function unknownId({ token_type: types, unknown_token_id: stated }: GgufVocabulary) {
  const first = types?.indexOf(TOKEN_TYPE.unknown) ?? -1;
  return stated ?? (first < 0 ? undefined : first);
}

function unknownToken(vocabulary: GgufVocabulary): string | null {
  const id = unknownId(vocabulary);
  return id === undefined ? null : vocabulary.tokens[id] ?? null;
}

interface Marks {
  readonly bos?: number;
  readonly eos?: number;
}

/** The tokens that frame an encoded text. */
function specialFlags(vocabulary: GgufVocabulary, addsBos: boolean): Marks {
  const { bos_token_id: bos, eos_token_id: eos } = vocabulary;
  return {
    ...(vocabulary.add_bos_token ?? addsBos) && bos !== undefined && { bos },
    ...vocabulary.add_eos_token === true && eos !== undefined && { eos },
  };
}

function postProcessor({ tokens }: GgufVocabulary, { bos, eos }: Marks): object | null {
  const mark = (id: number | undefined) => {
    if (id === undefined) return [];
    const token = tokens[id];
    if (token !== undefined) return [{ id, token }];
    const sizes = `${quote(id)} of ${tokens.length} tokens`;
    throw new TextError("InvalidTokenizer", `Cannot find token that frames a text: ${sizes}`);
  };
  const [first, last] = [mark(bos), mark(eos)];
  if (first.length + last.length === 0) return null;
  const special = ({ token }: { token: string }) => ({ SpecialToken: { id: token, type_id: 0 } });
  const sequence = (id: string, type_id: number) => ({ Sequence: { id, type_id } });
  return {
    type: "TemplateProcessing",
    single: [...first.map(special), sequence("A", 0), ...last.map(special)],
    pair: [sequence("A", 0), sequence("B", 1)],
    special_tokens: Object.fromEntries(
      [...first, ...last].map((
        { id, token },
      ) => [token, { id: token, ids: [id], tokens: [token] }]),
    ),
  };
}

/** One template as a string, several as a list with their names. */
function chatTemplates(metadata: ReadonlyMap<string, unknown>): unknown {
  const KEY = "tokenizer.chat_template";
  const template = metadata.get(KEY);
  const named = [...metadata].filter(([key]) => key.startsWith(`${KEY}.`));
  if (named.length === 0) return template;
  return [["default", template] as const, ...named]
    .filter(([, source]) => source !== undefined)
    .map(([key, source]) => ({ name: key.replace(`${KEY}.`, ""), template: source }));
}
