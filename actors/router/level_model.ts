import {
  assertVocabulary,
  type ChatTemplate,
  createChatTemplate,
  findChatTemplate,
  type GenerationConfig,
  loadTokenizer,
  type ModelSpec,
  openModel,
  parseModelSpec,
  TextError,
  type Tokenizer,
} from "../../kernels/mod.ts";
import { reject } from "../../runtime/mod.ts";
import type { GenerateRequest, Prompt, RefusalDetails, SamplingOptions } from "../protocol.ts";

/** What a router knows of a level's model: everything but its weights. */
export interface LevelModel {
  /** The level's name within the family. */
  readonly name: string;
  /** Content hash of the folder. */
  readonly hash: string;
  /** Architecture and sizes. */
  readonly spec: ModelSpec;
  /** Between text and token ids. */
  readonly tokenizer: Tokenizer;
  /** Renders messages; `undefined` when the model cannot chat. */
  readonly template: ChatTemplate | undefined;
  /** Its own defaults of sampling and length. */
  readonly generation: GenerationConfig;
  /** Token ids that end an output. */
  readonly eosIds: readonly number[];
  /** Tokens of one sequence that its replicas serve. */
  readonly context: number;
}

/**
 * Reads a model folder without its weights' bytes; `context` bounds a sequence, and `hash` is the folder's, if
 * known. Throws `FormatError`, `KernelError` or `TextError`.
 */
export async function openLevelModel(
  name: string,
  dir: string,
  context: number,
  hash?: string,
): Promise<LevelModel> {
  const folder = openModel(dir);
  try {
    const spec = parseModelSpec(folder.config);
    const tokenizer = loadTokenizer(folder.tokenizerJson, folder.tokenizerConfig);
    assertVocabulary(tokenizer, spec.vocab);
    const source = findChatTemplate(folder.tokenizerConfig, folder.chatTemplate);
    const { generationConfig: generation } = folder;
    return {
      name,
      hash: hash ?? await folder.hash(),
      spec,
      tokenizer,
      template: source === undefined
        ? undefined
        : createChatTemplate(source, tokenizer.specialTokens),
      generation,
      eosIds: generation.eosTokenIds.length > 0 ? generation.eosTokenIds : tokenizer.eosIds,
      context: Math.min(context, spec.maxPositions),
    };
  } finally {
    folder.close();
  }
}

/** Parameters that a token is multiplied with: the unit of a level's cost (half its FLOPs). */
export function activeParameters(spec: ModelSpec): number {
  const { dim, heads, kvHeads, headDim, ffn, mixture, layers, vocab } = spec;
  const attention = dim * headDim * (2 * heads + 2 * kvHeads);
  const dense = 3 * dim * ffn;
  const sparse = mixture
    ? 3 * dim * (mixture.topK * mixture.ffn + mixture.sharedFfn) + dim * mixture.experts
    : 0;
  const sparseLayers = mixture?.layers.filter(Boolean).length ?? 0;
  return layers * attention + sparseLayers * sparse + (layers - sparseLayers) * dense + dim * vocab;
}

/** Refuses a request with what the edge needs to answer it. */
export function refuse(message: string, details: RefusalDetails): never {
  reject(message, { details });
}

/** A prompt as this level's token ids. Refuses what cannot be encoded or does not fit. */
export function encodePrompt(model: LevelModel, prompt: Prompt): Int32Array {
  const ids = Int32Array.from(rawIds(model, prompt));
  if (ids.length === 0) {
    refuse("Cannot continue an empty prompt", {
      status: 400,
      code: "empty_prompt",
      param: "prompt",
    });
  }
  const most = model.context - 1;
  if (ids.length <= most) return ids;
  return refuse(
    `Cannot fit the prompt into ${model.name}, which takes at most ${most} tokens of prompt: ${ids.length}`,
    { status: 400, code: "context_length_exceeded", param: "prompt" },
  );
}

function rawIds(model: LevelModel, prompt: Prompt): readonly number[] {
  if (prompt.kind === "ids") return checkIds(model, prompt.ids);
  if (prompt.kind === "text") return encode(model, prompt.text, true);
  if (!model.template) {
    refuse(`Cannot chat with a model that has no chat template: ${model.name}`, {
      status: 400,
      code: "chat_template_missing",
      param: "messages",
    });
  }
  try {
    return encode(model, model.template.render(prompt.messages.map((m) => ({ ...m }))), false);
  } catch (error) {
    if (!(error instanceof TextError)) throw error;
    return refuse(error.message, { status: 400, code: "template_refused", param: "messages" });
  }
}

function encode(
  { tokenizer }: LevelModel,
  text: string,
  addSpecialTokens: boolean,
): readonly number[] {
  try {
    return tokenizer.encode(text, { addSpecialTokens });
  } catch (error) {
    if (!(error instanceof TextError)) throw error;
    return refuse(error.message, { status: 400, code: "invalid_text", param: "prompt" });
  }
}

/** Refuses ids that are not of the vocabulary. */
export function checkIds({ spec, name }: LevelModel, ids: readonly number[]): readonly number[] {
  const wrong = ids.find((id) => !Number.isInteger(id) || id < 0 || id >= spec.vocab);
  if (wrong === undefined) return ids;
  return refuse(`Cannot use a token id outside the ${spec.vocab} of ${name}: ${wrong}`, {
    status: 400,
    code: "invalid_token",
    param: "prompt",
  });
}

/**
 * How a request is sampled on a level: its own wishes, then `generation_config.json`, then neutral values.
 * As in Hugging Face, a model is greedy unless its configuration or the request says otherwise.
 */
export function samplingFor({ generation }: LevelModel, request: GenerateRequest): SamplingOptions {
  const defaults: SamplingOptions = {
    temperature: generation.doSample ? generation.temperature ?? 1 : 0,
    topK: generation.topK ?? 0,
    topP: generation.topP ?? 1,
    minP: generation.minP ?? 0,
    repetitionPenalty: generation.repetitionPenalty ?? 1,
    presencePenalty: 0,
    frequencyPenalty: 0,
  };
  return { ...defaults, ...request.sampling };
}

/** Most tokens that a request may generate on a level after a prompt. */
export function outputLimit(
  model: LevelModel,
  request: GenerateRequest,
  promptLength: number,
): number {
  const wanted = request.maxTokens ?? model.generation.maxNewTokens ?? Infinity;
  return Math.min(wanted, model.context - promptLength);
}
