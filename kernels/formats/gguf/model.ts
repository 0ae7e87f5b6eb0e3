import { ggufTokenizer, type GgufTokenizerFiles } from "../../text/mod.ts";
import { FormatError } from "../errors.ts";
import { quote } from "../../quote.ts";
import type { ModelFolder } from "../model_folder.ts";
import { configOf, namingOf } from "./config.ts";
import { generationOf } from "./generation.ts";
import type { GgufTensor } from "./header.ts";
import { Metadata } from "./metadata.ts";
import { nameTensors } from "./names.ts";
import { closeParts, type GgufPart, openParts } from "./parts.ts";
import { type Llama3Scaling, llama3Scaling } from "./rotary_factors.ts";
import { readExactly } from "../file_range.ts";
import { GgufWeights } from "./weights.ts";

const MAX_ROTARY_BYTES = 1 << 16;

/**
 * Opens a GGUF file, or the model of several parts that it belongs to, as the Hugging Face folder it was made
 * from: `config` and the names, shapes and row order of the weights are those of Hugging Face, bytes are as
 * stored. The tokenizer is built when first asked for and then throws `TextError` if it cannot be. Throws
 * {@link FormatError} `NotFound`, `Truncated`, `InvalidHeader`, `InvalidConfig`, `Mismatch` or `Unsupported`.
 */
export function openGguf(path: string): ModelFolder {
  const parts = openParts(path);
  try {
    return describe(path, parts);
  } catch (cause) {
    closeParts(parts);
    throw cause;
  }
}

function describe(path: string, parts: readonly GgufPart[]): ModelFolder {
  const { metadata: values } = parts[0]!.header;
  const metadata = new Metadata(values, path);
  const rotaryScaling = readRotary(parts, metadata, path);
  const tensors = new Map<string, GgufTensor>(parts.flatMap(({ header }) => [...header.tensors]));
  const config = configOf({
    file: path,
    metadata,
    tensors,
    ...rotaryScaling !== undefined && { rotaryScaling },
  });
  const views = nameTensors(
    parts.map(({ header }) => header.tensors),
    namingOf(metadata),
    path,
  );
  const weights = new GgufWeights(parts, views);
  let tokenizer: GgufTokenizerFiles | undefined;
  const files = () => tokenizer ??= ggufTokenizer(values);
  return {
    dir: path,
    config,
    generationConfig: generationOf(metadata, path),
    get tokenizerJson() {
      return files().tokenizerJson;
    },
    get tokenizerConfig() {
      return files().tokenizerConfig;
    },
    chatTemplate: undefined,
    weights,
    hash: () => weights.hash(),
    close: () => weights.close(),
  };
}

function readRotary(
  parts: readonly GgufPart[],
  metadata: Metadata,
  path: string,
): Llama3Scaling | undefined {
  for (const { path: file, file: handle, header } of parts) {
    const unknown = [...header.tensors.keys()].find((name) => name.startsWith("rope_factors"));
    if (unknown !== undefined) {
      throw new FormatError("Unsupported", `Cannot serve rotary factors of ${path}: ${unknown}`);
    }
    const tensor = header.tensors.get("rope_freqs.weight");
    if (tensor === undefined) continue;
    const { dtype, byteLength, begin } = tensor;
    if (dtype !== "f32" || byteLength > MAX_ROTARY_BYTES) {
      const found = `rope_freqs.weight of ${dtype}, shape ${quote(tensor.shape)}`;
      throw new FormatError("Unsupported", `Cannot serve rotary factors of ${path}: ${found}`);
    }
    const bytes = new Uint8Array(byteLength);
    readExactly(handle, file, begin, bytes);
    const theta = metadata.number("rope.freq_base") ?? 10000;
    return llama3Scaling(new Float32Array(bytes.buffer), theta, path);
  }
  return undefined;
}
