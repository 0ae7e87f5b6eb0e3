/** Text: tokenizers, streaming detokenisation, stop strings, chat templates. */
export {
  type ChatMessage,
  type ChatTemplate,
  type ContentPart,
  createChatTemplate,
  findChatTemplate,
  MAX_TEMPLATE_LENGTH,
  type RenderOptions,
} from "./chat_template.ts";
export {
  createDetokenizer,
  type Detokenizer,
  type DetokenizerOptions,
  type TokenText,
} from "./detokenizer.ts";
export { TextError, type TextErrorCode } from "./errors.ts";
export { createStopMatcher, type StopMatcher, type StopResult } from "./stop_matcher.ts";
export {
  assertVocabulary,
  loadTokenizer,
  type SpecialTokens,
  type Tokenizer,
} from "./tokenizer.ts";
export { ggufTokenizer, type GgufTokenizerFiles } from "./gguf/mod.ts";
