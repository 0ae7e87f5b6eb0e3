/** Tokenizers of GGUF files in the form of Hugging Face's tokenizer files. */
import { TextError } from "../errors.ts";
import { quote } from "../../quote.ts";
import { type PreTokenizer, preTokenizerNamed } from "./pre_tokenizers.ts";
import { type GgufVocabulary, readVocabulary, TOKEN_TYPE } from "./schema.ts";
import { addedTokens, framesOf, postProcessor, unknownId } from "./special_tokens.ts";
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
  const frames = framesOf(vocabulary, addsBos);
  const config = {
    bos_token: token(vocabulary.bos_token_id),
    eos_token: token(vocabulary.eos_token_id),
    pad_token: token(vocabulary.padding_token_id),
    unk_token: token(unknownId(vocabulary)),
    add_bos_token: frames.bos !== undefined,
    add_eos_token: frames.eos !== undefined,
    clean_up_tokenization_spaces: false,
    chat_template: chatTemplates(metadata),
  };
  const stated = Object.entries(config).filter(([, value]) => value !== undefined);
  return {
    tokenizerJson: {
      version: "1.0",
      added_tokens: addedTokens(vocabulary),
      ...tokenizerJson,
      post_processor: postProcessor(vocabulary, frames),
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
      unk_token: tokens[unknownId(vocabulary) ?? -1] ?? null,
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
