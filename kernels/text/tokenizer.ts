import { Tokenizer as Encoder } from "@huggingface/tokenizers";
import { createDetokenizer, type TokenText } from "./detokenizer.ts";
import { reason, TextError } from "./errors.ts";
import { quote } from "../quote.ts";
import { createTokenDecoder, type TokenDecoder } from "./token_bytes.ts";
import {
  parseTokenizerConfig,
  parseTokenizerFile,
  type TokenizerConfig,
  type TokenizerFile,
} from "./tokenizer_schema.ts";

/** Turns text into token ids and back. */
export interface Tokenizer extends TokenText {
  /** Highest token id plus one; every id that {@link encode} returns is below it. */
  readonly vocabSize: number;
  /** Id that begins a text. */
  readonly bosId?: number;
  /** Ids that `tokenizer_config.json` names as end of text; a model may end on others too. */
  readonly eosIds: readonly number[];
  /** Id that fills rows. */
  readonly padId?: number;
  /** Text of the special tokens that `tokenizer_config.json` names, for chat templates. */
  readonly specialTokens: SpecialTokens;
  /**
   * Token ids of a text. `addSpecialTokens` (default true) adds what the tokenizer's post-processor adds, such
   * as `<s>`; leave it off for text that a chat template rendered. Throws {@link TextError} `InvalidText`.
   */
  encode(text: string, options?: { addSpecialTokens?: boolean }): number[];
  /**
   * Text of token ids, without special tokens if `skipSpecialTokens` (default false). Invalid UTF-8 becomes
   * U+FFFD; ids without a token have no text; spaces are not cleaned up.
   */
  decode(ids: readonly number[], options?: { skipSpecialTokens?: boolean }): string;
  /** A token as the vocabulary spells it; "" for an id without a token. */
  tokenText(id: number): string;
}

/** Texts of special tokens, as chat templates name them. */
export interface SpecialTokens {
  /** Begins a text. */
  readonly bosToken?: string;
  /** Ends a text. */
  readonly eosToken?: string;
  /** Fills rows. */
  readonly padToken?: string;
  /** Stands for what the vocabulary lacks. */
  readonly unkToken?: string;
}

/**
 * Loads a tokenizer from the parsed `tokenizer.json` and `tokenizer_config.json`. Throws {@link TextError}
 * `NotFound` when the first is `undefined`, `InvalidTokenizer`, or `Unsupported`.
 */
export function loadTokenizer(tokenizerJson: unknown, tokenizerConfig?: unknown): Tokenizer {
  const file = parseTokenizerFile(tokenizerJson);
  const config = parseTokenizerConfig(tokenizerConfig);
  return new VocabularyTokenizer(file, config);
}

/**
 * Checks that every token id is a row of the model's embedding. Throws {@link TextError}
 * `VocabularyMismatch`. A model may have more rows than the tokenizer has tokens.
 */
export function assertVocabulary(tokenizer: Tokenizer, modelVocabSize: number): void {
  if (tokenizer.vocabSize <= modelVocabSize) return;
  const sizes = `${tokenizer.vocabSize} token ids, model has ${modelVocabSize}`;
  throw new TextError("VocabularyMismatch", `Cannot use tokenizer with this model: ${sizes}`);
}

class VocabularyTokenizer implements Tokenizer {
  readonly vocabSize: number;
  readonly specialIds: ReadonlySet<number>;
  readonly specialTokens: SpecialTokens;
  readonly bosId?: number;
  readonly eosIds: readonly number[];
  readonly padId?: number;
  readonly #encoder: Encoder;
  readonly #decoder: TokenDecoder;
  readonly #tokens = new Map<number, string>();
  readonly #addedIds: ReadonlySet<number>;

  constructor(file: TokenizerFile, config: TokenizerConfig) {
    this.#encoder = createEncoder(file, config);
    this.#decoder = createTokenDecoder(file.decoder);
    const added = file.added_tokens ?? [];
    for (const [id, token] of vocabularyOf(file)) this.#tokens.set(id, token);
    for (const { id, content } of added) this.#tokens.set(id, content);
    this.vocabSize = [...this.#tokens.keys()].reduce((size, id) => Math.max(size, id + 1), 0);
    this.#addedIds = new Set(added.map(({ id }) => id));
    this.specialTokens = specialTokensOf(config);
    this.specialIds = this.#specialIdsOf(added, config);
    const { bos, eos, pad } = this.#namedIds();
    if (bos !== undefined) this.bosId = bos;
    if (pad !== undefined) this.padId = pad;
    this.eosIds = eos === undefined ? [] : [eos];
  }

  get leadingSpaces(): number {
    return this.#decoder.leadingSpaces;
  }

  encode(text: string, options: { addSpecialTokens?: boolean } = {}): number[] {
    const add_special_tokens = options.addSpecialTokens ?? true;
    try {
      // Unknown characters of a tokenizer without an unknown token have no id.
      return this.#encoder.encode(text, { add_special_tokens }).ids
        .filter((id) => id !== undefined);
    } catch (cause) {
      throw new TextError("InvalidText", `Cannot encode ${quote(text)}: ${reason(cause)}`, {
        cause,
      });
    }
  }

  decode(ids: readonly number[], options: { skipSpecialTokens?: boolean } = {}): string {
    const detokenizer = createDetokenizer(this, options);
    return ids.map((id) => detokenizer.push(id)).join("") + detokenizer.flush();
  }

  tokenText(id: number): string {
    return this.#tokens.get(id) ?? "";
  }

  tokenBytes(id: number): Uint8Array {
    const token = this.#tokens.get(id);
    if (token === undefined) return new Uint8Array();
    return this.#decoder.bytes(token, this.#addedIds.has(id));
  }

  #specialIdsOf(
    added: NonNullable<TokenizerFile["added_tokens"]>,
    config: TokenizerConfig,
  ): ReadonlySet<number> {
    const ids = added.filter(({ special }) => special).map(({ id }) => id);
    const named = (config.additional_special_tokens ?? []).map((token) => this.#idOf(token));
    return new Set([...ids, ...named.filter((id) => id !== undefined)]);
  }

  #namedIds(): { bos: number | undefined; eos: number | undefined; pad: number | undefined } {
    const { bosToken, eosToken, padToken } = this.specialTokens;
    return { bos: this.#idOf(bosToken), eos: this.#idOf(eosToken), pad: this.#idOf(padToken) };
  }

  #idOf(token: string | undefined): number | undefined {
    return token === undefined ? undefined : this.#encoder.token_to_id(token);
  }
}

function createEncoder(file: TokenizerFile, config: TokenizerConfig): Encoder {
  const absent = { normalizer: null, pre_tokenizer: null, post_processor: null, decoder: null };
  try {
    return new Encoder({ ...absent, ...file, added_tokens: file.added_tokens ?? [] }, config);
  } catch (cause) {
    const message = `Cannot load tokenizer.json: ${reason(cause)}`;
    throw new TextError("InvalidTokenizer", message, { cause });
  }
}

function* vocabularyOf({ model: { vocab } }: TokenizerFile): Generator<[number, string]> {
  if (Array.isArray(vocab)) yield* vocab.map(([token], id): [number, string] => [id, token]);
  else for (const [token, id] of Object.entries(vocab)) yield [id, token];
}

function specialTokensOf(config: TokenizerConfig): SpecialTokens {
  return {
    ...config.bos_token !== undefined && { bosToken: config.bos_token },
    ...config.eos_token !== undefined && { eosToken: config.eos_token },
    ...config.pad_token !== undefined && { padToken: config.pad_token },
    ...config.unk_token !== undefined && { unkToken: config.unk_token },
  };
}
