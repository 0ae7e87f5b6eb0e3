/** Tokenizers out of the metadata of GGUF files. */
export { ggufTokenizer, type GgufTokenizerFiles } from "./tokenizer_files.ts";
