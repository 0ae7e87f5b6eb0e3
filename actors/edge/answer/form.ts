import type { GeneratedToken, TokenLogprob } from "../../protocol.ts";
import type { Answer } from "./run.ts";

/** A choice in OpenAI's form. */
export type Choice = { readonly index: number } & Readonly<Record<string, unknown>>;

/** How one endpoint writes its answers. */
export interface Form {
  readonly prefix: string;
  readonly object: string;
  readonly chunkObject: string;
  /** A whole choice. `logprobs`: whether they were asked for. */
  choice(index: number, answer: Answer, options: { echo: string; logprobs: boolean }): Choice;
  /** The first piece of a stream; `null` = none. */
  opening(index: number, echo: string): Choice | null;
  /** A piece of text; `offset` counts the characters before it. */
  delta(
    index: number,
    text: string,
    tokens: readonly GeneratedToken[] | null,
    offset: number,
  ): Choice;
  /** The last piece. */
  closing(index: number, finish: string): Choice;
}

/** `POST /v1/chat/completions`. */
export const chatForm: Form = {
  prefix: "chatcmpl",
  object: "chat.completion",
  chunkObject: "chat.completion.chunk",
  choice: (index, { text, tokens, end }, { logprobs }) => ({
    index,
    message: { role: "assistant", content: text, refusal: null },
    logprobs: chatLogprobs(logprobs ? tokens : null),
    finish_reason: end.finish,
  }),
  opening: (index) => chatPiece(index, { role: "assistant", content: "" }),
  delta: (index, text, tokens) => ({
    ...chatPiece(index, { content: text }),
    logprobs: chatLogprobs(tokens),
  }),
  closing: (index, finish) => ({ ...chatPiece(index, {}), finish_reason: finish }),
};

/** `POST /v1/completions`. */
export const textForm: Form = {
  prefix: "cmpl",
  object: "text_completion",
  chunkObject: "text_completion",
  choice: (index, { text, tokens, end }, { echo, logprobs }) => ({
    index,
    text: echo + text,
    logprobs: textLogprobs(logprobs ? tokens : null, 0),
    finish_reason: end.finish,
  }),
  opening: (index, echo) => echo === "" ? null : textPiece(index, echo),
  delta: (index, text, tokens, offset) => ({
    ...textPiece(index, text),
    logprobs: textLogprobs(tokens, offset),
  }),
  closing: (index, finish) => ({ ...textPiece(index, ""), finish_reason: finish }),
};

function chatPiece(index: number, delta: object): Choice {
  return { index, delta, logprobs: null, finish_reason: null };
}

function textPiece(index: number, text: string): Choice {
  return { index, text, logprobs: null, finish_reason: null };
}

function chatLogprobs(tokens: readonly GeneratedToken[] | null) {
  if (tokens === null) return null;
  const content = tokens.map(({ top, ...token }) => ({
    ...chatToken(token),
    top_logprobs: top.map(chatToken),
  }));
  return { content, refusal: null };
}

function chatToken({ token, logprob, bytes }: TokenLogprob) {
  return { token, logprob, bytes: [...bytes] };
}

function textLogprobs(tokens: readonly GeneratedToken[] | null, offset: number) {
  if (tokens === null) return null;
  let at = offset;
  const offsets = tokens.map(({ token }) => {
    at += token.length;
    return at - token.length;
  });
  return {
    tokens: tokens.map(({ token }) => token),
    token_logprobs: tokens.map(({ logprob }) => logprob),
    top_logprobs: tokens.map(({ top }) =>
      Object.fromEntries(top.map(({ token, logprob }) => [token, logprob]))
    ),
    text_offset: offsets,
  };
}
