import { TextError } from "../errors.ts";
import { quote } from "../../quote.ts";

/** How a byte-level tokenizer cuts text before its merges apply. */
export interface PreTokenizer {
  /** Expressions that split one after the other. */
  readonly splits: readonly string[];
  /** Whether text is composed (NFC) first. */
  readonly composes?: true;
  /** Whether a piece that is a token as a whole stays one. */
  readonly ignoresMerges?: true;
  /** Whether a text begins with the first token unless the file says otherwise. */
  readonly addsBos?: true;
}

const contractions = "'s|'t|'re|'ve|'m|'ll|'d";
const gpt2 = `${contractions}| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+`;
const spaces = "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
const words = (digits: string) =>
  `(?i:${contractions})|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|${digits}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|${spaces}`;
const upper = "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]";
const lower = "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]";
const casedWords = (digits: string, suffix: string) =>
  `[^\\r\\n\\p{L}\\p{N}]?${upper}*${lower}+${suffix}|[^\\r\\n\\p{L}\\p{N}]?${upper}+${lower}*${suffix}|` +
  `${digits}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|${spaces}`;

const plain: PreTokenizer = { splits: [gpt2] };
const llama3: PreTokenizer = {
  splits: [words("\\p{N}{1,3}")],
  ignoresMerges: true,
  addsBos: true,
};
const qwen2: PreTokenizer = { splits: [words("\\p{N}")], composes: true };
const digitwise: PreTokenizer = { splits: ["\\p{N}", gpt2] };
const cl100k: PreTokenizer = { splits: [words("\\p{N}{1,3}")] };

/** By the name in `tokenizer.ggml.pre`. */
const preTokenizers: Readonly<Record<string, PreTokenizer>> = {
  "gpt-2": plain,
  "mpt": plain,
  "olmo": { ...plain, composes: true },
  "jais": plain,
  "llama3": llama3,
  "llama-v3": llama3,
  "llama-bpe": llama3,
  "falcon3": llama3,
  "dbrx": cl100k,
  "smaug-bpe": cl100k,
  "qwen2": qwen2,
  "deepseek-r1-qwen": qwen2,
  "stablelm2": { splits: qwen2.splits },
  "smollm": digitwise,
  "starcoder": digitwise,
  "refact": digitwise,
  "command-r": digitwise,
  "codeshell": digitwise,
  "tekken": { splits: [casedWords("\\p{N}", "")], ignoresMerges: true },
  "gpt-4o": { splits: [casedWords("\\p{N}{1,3}", `(?i:${contractions})?`)] },
  "default": {
    splits: ["[\\p{P}\\$\\+<=>\\^~\\|]+", gpt2, "\\p{N}+", "[0-9][0-9][0-9]"],
  },
};

/** The pre-tokenizer of this name. Throws {@link TextError} `Unsupported`. */
export function preTokenizerNamed(name: string): PreTokenizer {
  const found = Object.hasOwn(preTokenizers, name) ? preTokenizers[name] : undefined;
  if (found !== undefined) return found;
  const known = Object.keys(preTokenizers).join(", ");
  throw new TextError(
    "Unsupported",
    `Cannot cut text as tokenizer.ggml.pre says (known: ${known}): ${quote(name)}`,
  );
}
