import { createHash } from "node:crypto";
import { FormatError } from "./errors.ts";
import { quote } from "../quote.ts";
import { type GenerationConfig, parseGenerationConfig } from "./generation_config.ts";
import {
  isDirectory,
  isFile,
  readJsonFile,
  readOptionalJsonFile,
  readTextFile,
} from "./json_file.ts";
import { openWeights } from "./weight_files.ts";
import type { WeightSource } from "./weight_source.ts";

const MAX_CONFIG_BYTES = 10_000_000;
const MAX_TOKENIZER_BYTES = 128 << 20;
const MAX_TEMPLATE_BYTES = 1 << 20;

/** A model in Hugging Face form: a folder, or a GGUF file seen as one. */
export interface ModelFolder {
  /** Path of the folder or GGUF file. */
  readonly dir: string;
  /** `config.json`, parsed; an object. */
  readonly config: Readonly<Record<string, unknown>>;
  /** `generation_config.json`, checked. */
  readonly generationConfig: GenerationConfig;
  /** `tokenizer.json`, parsed; `undefined` without one. */
  readonly tokenizerJson: unknown;
  /** `tokenizer_config.json`, parsed; `undefined` without one. */
  readonly tokenizerConfig: unknown;
  /** Text of `chat_template.jinja`; `undefined` without one. */
  readonly chatTemplate: string | undefined;
  /** The tensors, open until {@link ModelFolder.close}. */
  readonly weights: WeightSource;
  /**
   * Identity of the model: `config.json`, the tokenizer and the weights; begins with `sha256:`, or
   * `sha256-sampled:` when the weights are too large to be read whole.
   */
  hash(): Promise<string>;
  /** Closes the weights. */
  close(): void;
}

/**
 * Opens a model folder: `config.json` and safetensors weights must be there, the rest is optional. Throws
 * {@link FormatError} with one line that names the file: `NotFound`, `Truncated`, `InvalidHeader`,
 * `InvalidConfig`, `Mismatch` or `TooLarge`.
 */
export function openModelFolder(dir: string): ModelFolder {
  if (!isDirectory(dir)) throw new FormatError("NotFound", `Cannot find model folder: ${dir}`);
  const config = readConfig(`${dir}/config.json`);
  const generation = readOptionalJsonFile(`${dir}/generation_config.json`, MAX_CONFIG_BYTES);
  const template = `${dir}/chat_template.jinja`;
  const parts = {
    dir,
    config,
    generationConfig: parseGenerationConfig(generation, config, dir),
    tokenizerJson: readOptionalJsonFile(`${dir}/tokenizer.json`, MAX_TOKENIZER_BYTES),
    tokenizerConfig: readOptionalJsonFile(`${dir}/tokenizer_config.json`, MAX_CONFIG_BYTES),
    chatTemplate: isFile(template) ? readTextFile(template, MAX_TEMPLATE_BYTES) : undefined,
  };
  const weights = openWeights(dir);
  return {
    ...parts,
    weights,
    hash: async () => identity(await weights.hash(), [config, parts.tokenizerJson]),
    close: () => weights.close(),
  };
}

function readConfig(path: string): Record<string, unknown> {
  const config = readJsonFile(path, MAX_CONFIG_BYTES);
  if (typeof config === "object" && config !== null && !Array.isArray(config)) {
    return config as Record<string, unknown>;
  }
  throw new FormatError(
    "InvalidConfig",
    `Cannot read ${path}: not an object, got ${quote(config)}`,
  );
}

function identity(weightsHash: string, parts: readonly unknown[]): string {
  const scheme = weightsHash.slice(0, weightsHash.indexOf(":"));
  const hash = createHash("sha256").update(weightsHash);
  for (const part of parts) hash.update(`\n${JSON.stringify(part)}`);
  return `${scheme}:${hash.digest("hex")}`;
}
