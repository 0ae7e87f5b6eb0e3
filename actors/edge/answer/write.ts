import type { Route, Usage } from "../../protocol.ts";
import type { Choice, Form } from "./form.ts";
import type { Answer, Indexed } from "./run.ts";
import { lastData } from "./sse.ts";

/** What all answers to one request have in common. */
export interface Frame {
  readonly form: Form;
  readonly id: string;
  /** Seconds since the epoch. */
  readonly created: number;
  readonly model: string;
  readonly fingerprint: string;
  /** Answers for each prompt: the answers of one prompt stand together. */
  readonly n: number;
  /** Text to repeat before the answers of each prompt. */
  readonly echoes: readonly string[];
  readonly logprobs: boolean;
  readonly includeUsage: boolean;
}

/** A whole answer's body. */
export function writeAnswers(frame: Frame, answers: readonly Answer[]): Record<string, unknown> {
  const { form, logprobs } = frame;
  const choices = answers.map((answer, index) => ({
    ...form.choice(index, answer, { echo: echoOf(frame, index), logprobs }),
    ...(answers.length > 1 ? { tandem: answer.end.route } : {}),
  }));
  return {
    ...head(frame, form.object),
    choices,
    usage: usageOf(answers.map(({ end }) => end.usage), frame.n),
    tandem: answers[0]!.end.route,
  };
}

/** Headers that say how a request was answered; of several answers, the first. */
export function routeHeaders({ level, confidence, path }: Route): Record<string, string> {
  const number = (value: number | null) => value === null ? "none" : value.toFixed(4);
  const visits = path.map(({ level, outcome, confidence }) =>
    `${level};${outcome};${number(confidence)}`
  );
  return {
    "x-tandem-level": plain(level),
    "x-tandem-confidence": number(confidence),
    "x-tandem-path": plain(visits.join(", ")),
  };
}

/** Writes events as the data of server-sent events, as they come, `[DONE]` last. */
export async function* writeStream(
  frame: Frame,
  events: AsyncIterable<Indexed>,
): AsyncGenerator<string, void, void> {
  const { form, logprobs, includeUsage } = frame;
  const offsets = new Map<number, number>();
  const usages: Usage[] = [];
  const chunk = (choices: readonly Choice[], rest: object = {}) =>
    JSON.stringify({
      ...head(frame, form.chunkObject),
      choices,
      ...(includeUsage ? { usage: null } : {}),
      ...rest,
    });
  for await (const { index, event } of events) {
    if (!offsets.has(index)) {
      offsets.set(index, 0);
      const opening = form.opening(index, echoOf(frame, index));
      if (opening !== null) yield chunk([opening]);
    }
    if (event.type === "end") {
      usages[index] = event.usage;
      yield chunk([form.closing(index, event.finish)], { tandem: event.route });
    } else if (event.text !== "" || (logprobs && event.tokens.length > 0)) {
      const offset = offsets.get(index)!;
      offsets.set(index, offset + event.tokens.reduce((sum, { token }) => sum + token.length, 0));
      yield chunk([form.delta(index, event.text, logprobs ? event.tokens : null, offset)]);
    }
  }
  if (includeUsage) yield chunk([], { usage: usageOf(usages, frame.n) });
  yield lastData;
}

function head({ id, created, model, fingerprint }: Frame, object: string) {
  return { id, object, created, model, system_fingerprint: fingerprint };
}

function echoOf({ echoes, n }: Frame, index: number): string {
  return echoes[Math.floor(index / n)] ?? "";
}

function usageOf(usages: readonly Usage[], n: number) {
  const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);
  // The answers of one prompt share its tokens.
  const prompt = sum(
    usages.filter((_, index) => index % n === 0).map((usage) => usage.promptTokens),
  );
  const completion = sum(usages.map(({ completionTokens }) => completionTokens));
  return {
    prompt_tokens: prompt,
    completion_tokens: completion,
    total_tokens: prompt + completion,
  };
}

function plain(text: string): string {
  return text.replaceAll(/[^\x20-\x7e]/g, "?");
}
