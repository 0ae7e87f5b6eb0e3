import { Template } from "@huggingface/jinja";
import { reason, TextError } from "./errors.ts";
import { quote } from "../quote.ts";
import type { SpecialTokens } from "./tokenizer.ts";

/** The longest template accepted, in UTF-16 code units. */
export const MAX_TEMPLATE_LENGTH = 1 << 18;

/** A part of a message's content. Only text can be rendered. */
export interface ContentPart {
  /** Kind of part: "text". */
  readonly type: string;
  /** The text of a text part. */
  readonly text?: string;
}

/**
 * One message of a conversation, as in the OpenAI API. Other keys (`name`, ...) reach the template as they are;
 * the JSON `arguments` of `tool_calls` reach it parsed, as templates expect.
 */
export interface ChatMessage {
  /** Who speaks: "system", "user", "assistant" or "tool". */
  readonly role: string;
  /** Text parts are joined by line feeds before they reach the template. */
  readonly content?: string | readonly ContentPart[] | null;
  /** Anything else that a template may read. */
  readonly [key: string]: unknown;
}

/** Options of {@link ChatTemplate.render}. */
export interface RenderOptions {
  /** Ends with what opens an assistant's answer (default true). */
  readonly addGenerationPrompt?: boolean;
  /** Tool descriptions as in the OpenAI API. */
  readonly tools?: readonly unknown[];
  /** More variables for the template; they cannot replace Jinja's own. */
  readonly variables?: Readonly<Record<string, unknown>>;
}

/** Renders conversations as the prompt a model was trained on. */
export interface ChatTemplate {
  /**
   * The prompt of a conversation, special tokens included: encode it without adding them again. Throws
   * {@link TextError} `TemplateRefused` with the template's or the interpreter's message, `Unsupported` for
   * content that is not text.
   */
  render(messages: readonly ChatMessage[], options?: RenderOptions): string;
}

/** Parses a Jinja chat template. Throws {@link TextError} `InvalidTemplate`. */
export function createChatTemplate(source: string, tokens: SpecialTokens = {}): ChatTemplate {
  const template = parseTemplate(source);
  const texts = {
    bos_token: tokens.bosToken ?? "",
    eos_token: tokens.eosToken ?? "",
    pad_token: tokens.padToken ?? "",
    unk_token: tokens.unkToken ?? "",
  };
  return {
    render(messages: readonly ChatMessage[], options: RenderOptions = {}): string {
      const variables = {
        ...options.variables,
        ...texts,
        messages: messages.map(normalise),
        add_generation_prompt: options.addGenerationPrompt ?? true,
        ...options.tools !== undefined && options.tools.length > 0 && { tools: options.tools },
      };
      try {
        return template.render(variables);
      } catch (cause) {
        const message = `Cannot render chat template: ${reason(cause)}`;
        throw new TextError("TemplateRefused", message, { cause });
      }
    },
  };
}

/**
 * The source of a model's chat template: `chat_template.jinja` if the folder has it, else `chat_template` of
 * `tokenizer_config.json`, a string or a list of `{name, template}` (`name` picks one, else "default").
 * `undefined` when there is none. Throws {@link TextError} `InvalidTemplate` for any other form.
 */
export function findChatTemplate(
  tokenizerConfig: unknown,
  templateFile?: string,
  name = "default",
): string | undefined {
  if (templateFile !== undefined) return templateFile;
  const stated = (tokenizerConfig as { chat_template?: unknown } | null | undefined)?.chat_template;
  if (stated === undefined || stated === null || typeof stated === "string") {
    return stated ?? undefined;
  }
  const named = Array.isArray(stated) ? stated.find((entry) => entry?.name === name) : undefined;
  if (typeof named?.template === "string") return named.template;
  const fault = Array.isArray(stated) ? `no template named ${quote(name)}` : quote(stated);
  throw new TextError("InvalidTemplate", `Cannot read chat_template: ${fault}`);
}

function parseTemplate(source: string): Template {
  if (source.length > MAX_TEMPLATE_LENGTH) {
    const length = `${source.length} characters, limit ${MAX_TEMPLATE_LENGTH}`;
    throw new TextError("InvalidTemplate", `Cannot parse chat template: ${length}`);
  }
  try {
    // Jinja reads every line ending as a line feed, this interpreter does not.
    return new Template(source.replace(/\r\n?/g, "\n"));
  } catch (cause) {
    const message = `Cannot parse chat template: ${reason(cause)}`;
    throw new TextError("InvalidTemplate", message, { cause });
  }
}

/** Templates expect what transformers gives them: text as one string, tool arguments as objects. */
function normalise(message: ChatMessage): ChatMessage {
  const { content, tool_calls: calls } = message;
  const text = Array.isArray(content) ? content.map(textOf).join("\n") : content ?? null;
  return {
    ...message,
    content: text,
    ...Array.isArray(calls) && { tool_calls: calls.map(withParsedArguments) },
  };
}

function withParsedArguments(call: { function?: { arguments?: unknown } } | null): unknown {
  const stated = call?.function?.arguments;
  if (typeof stated !== "string") return call;
  try {
    return { ...call, function: { ...call?.function, arguments: JSON.parse(stated) } };
  } catch {
    return call;
  }
}

function textOf(part: ContentPart): string {
  if (part?.type === "text" && typeof part.text === "string") return part.text;
  throw new TextError("Unsupported", `Cannot render content that is not text: ${quote(part)}`);
}
