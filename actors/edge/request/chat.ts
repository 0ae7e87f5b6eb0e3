import { z } from "zod";
import type { ChatMessage } from "../../protocol.ts";
import {
  asObject,
  boundedList,
  check,
  checkChoices,
  checkLength,
  given,
  type Job,
  refuse,
  type RequestLimits,
  samplingOf,
  sharedFields,
  stopsOf,
  wellFormed,
} from "./shared.ts";
import { chatUnsupported, refuseUnsupported } from "./unsupported.ts";

const maxParts = 256;

const part = z.object({
  type: z.enum(["text", "refusal"]),
  text: wellFormed.optional(),
  refusal: wellFormed.optional(),
}).refine((part) => part[part.type] !== undefined, { error: "must hold its text" })
  .transform((part) => part[part.type] ?? "");

const message = z.object({
  role: z.enum(["system", "developer", "user", "assistant"]),
  content: z.union([wellFormed, boundedList(part, maxParts)]),
  name: wellFormed.max(256).nullish(),
  tool_calls: z.array(z.unknown()).max(0, { error: "must hold no items" }).nullish(),
});

function schema({ messages }: RequestLimits) {
  return z.object({
    ...sharedFields,
    messages: boundedList(message, messages).refine((list) => list.length > 0, {
      error: "must hold at least 1 item",
    }),
    max_completion_tokens: sharedFields.max_tokens,
    logprobs: z.boolean().optional(),
    top_logprobs: z.int().min(0).max(20).optional(),
  });
}

/** Makes the check of `POST /v1/chat/completions`. The check throws `HttpError` 400. */
export function chatParser(limits: RequestLimits): (body: unknown) => Job {
  const chat = schema(limits);
  return (body) => {
    const object = asObject(body);
    refuseUnsupported(object, chatUnsupported);
    return toJob(check(chat, object), limits);
  };
}

function toJob(chat: z.output<ReturnType<typeof schema>>, limits: RequestLimits): Job {
  const { logprobs = false, top_logprobs: top } = chat;
  if (top !== undefined && !logprobs) {
    throw refuse({ path: ["top_logprobs"], rule: "needs logprobs to be true", shown: String(top) });
  }
  checkChoices(1, chat.n ?? 1, limits.choices);
  const messages = chat.messages.map(toMessage);
  const characters = messages.reduce((sum, { content }) => sum + content.length, 0);
  checkLength("messages", characters, limits.promptCharacters);
  return {
    model: chat.model,
    prompts: [{ kind: "messages", messages }],
    echoes: [],
    n: chat.n ?? 1,
    stream: chat.stream ?? false,
    includeUsage: chat.stream_options?.include_usage ?? false,
    ...given("maxTokens", chat.max_completion_tokens ?? chat.max_tokens),
    stop: stopsOf(chat),
    sampling: samplingOf(chat),
    ...given("logprobs", logprobs ? top ?? 0 : undefined),
  };
}

function toMessage({ role, content, name }: z.output<typeof message>): ChatMessage {
  return {
    // Chat templates know the older name only.
    role: role === "developer" ? "system" : role,
    content: typeof content === "string" ? content : content.join(""),
    ...given("name", name ?? undefined),
  };
}
