import { type ModelConfig, parseConfig } from "./config.ts";
import { openSafetensors, writeSafetensors } from "./safetensors.ts";
import type { TensorSource } from "./tensors.ts";
import { tokenizerConfigJson, tokenizerJson } from "./tokenizer.ts";

/** Writes a model as a Hugging Face folder with a byte tokenizer. */
export function writeFolder(path: string, source: TensorSource): void {
  const { config } = source;
  Deno.mkdirSync(path, { recursive: true });
  const write = (name: string, json: unknown) =>
    Deno.writeTextFileSync(`${path}/${name}`, `${JSON.stringify(json, null, 1)}\n`);
  write("config.json", folderConfig(config));
  write("generation_config.json", {
    bos_token_id: config.bos_token_id,
    eos_token_id: config.eos_token_id,
  });
  write("tokenizer.json", tokenizerJson(config.vocab_size));
  write("tokenizer_config.json", tokenizerConfigJson(config.max_position_embeddings));
  writeSafetensors(`${path}/model.safetensors`, source);
}

function folderConfig(config: ModelConfig): Record<string, unknown> {
  const architecture = config.model_type === "llama" ? "LlamaForCausalLM" : "MixtralForCausalLM";
  return {
    ...config,
    architectures: [architecture],
    hidden_act: "silu",
    attention_bias: false,
    sliding_window: null,
    torch_dtype: "float16",
  };
}

/** A Hugging Face folder opened for reading: `config.json` and one `model.safetensors`. */
export function openFolder(path: string): TensorSource & Disposable {
  const config = parseConfig(JSON.parse(Deno.readTextFileSync(`${path}/config.json`)));
  return { config, ...openSafetensors(`${path}/model.safetensors`) };
}
