import { z } from "zod";
import { firstIssue, type Issue, showIssue, showPath } from "../../config/mod.ts";
import type { Prompt, SamplingOptions } from "../../protocol.ts";
import { HttpError } from "../errors.ts";

/** What requests may hold. */
export interface RequestLimits {
  readonly messages: number;
  readonly promptCharacters: number;
  readonly choices: number;
}

/** A request of either endpoint, checked. */
export interface Job {
  readonly model: string;
  readonly prompts: readonly Prompt[];
  /** Text to repeat before each prompt's answers; empty = none. */
  readonly echoes: readonly string[];
  /** Answers for each prompt. */
  readonly n: number;
  readonly stream: boolean;
  readonly includeUsage: boolean;
  readonly maxTokens?: number;
  readonly stop: readonly string[];
  readonly sampling: Partial<SamplingOptions>;
  /** Alternatives to report; absent = no log-probabilities wanted. */
  readonly logprobs?: number;
}

const maxStops = 16;
const maxStopCharacters = 1024;

/** Text that every tokenizer can read: no lone surrogates. */
export const wellFormed = z.string().refine((text) => text.isWellFormed(), {
  error: "must be well-formed Unicode",
});

/** A list whose length is checked before its items: a hostile list cannot make millions of errors. */
export function boundedList<T extends z.ZodType>(
  item: T,
  max: number,
): z.ZodType<z.output<T>[], unknown> {
  return z.array(z.unknown()).max(max).pipe(z.array(item));
}

const stop = wellFormed.min(1).max(maxStopCharacters);

/** The fields that both endpoints know. */
export const sharedFields = {
  model: z.string().min(1).max(256),
  stream: z.boolean().optional(),
  stream_options: z.object({ include_usage: z.boolean().nullish() }).optional(),
  n: z.int().min(1).max(16).optional(),
  stop: z.union([stop, boundedList(stop, maxStops)]).optional(),
  seed: z.number().refine(Number.isInteger, { error: "must be a whole number" }).optional(),
  max_tokens: z.int().min(1).max(2 ** 31 - 1).optional(),
  temperature: z.number().min(0).max(2).optional(),
  top_p: z.number().min(0).max(1).optional(),
  top_k: z.int().min(-1).max(2 ** 31 - 1).optional(),
  min_p: z.number().min(0).max(1).optional(),
  presence_penalty: z.number().min(-2).max(2).optional(),
  frequency_penalty: z.number().min(-2).max(2).optional(),
  repetition_penalty: z.number().positive().max(10).optional(),
  user: z.string().optional(),
};

type Shared = z.output<z.ZodObject<typeof sharedFields>>;

/** Checks a body against a schema; `null` counts as absent. Throws `HttpError` 400 naming path and value. */
export function check<T>(schema: z.ZodType<T>, body: Readonly<Record<string, unknown>>): T {
  const present = Object.fromEntries(Object.entries(body).filter(([, value]) => value !== null));
  const result = schema.safeParse(present);
  if (result.success) return result.data;
  throw refuse(firstIssue(result.error, present));
}

/** The body as an object. Throws `HttpError` 400. */
export function asObject(body: unknown): Readonly<Record<string, unknown>> {
  if (typeof body === "object" && body !== null && !Array.isArray(body)) {
    return body as Record<string, unknown>;
  }
  throw refuse({
    path: [],
    rule: "must be an object",
    shown: Array.isArray(body) ? "list" : "value",
  });
}

/** A refusal that names the place, the rule and the value. */
export function refuse(issue: Issue): HttpError {
  const param = showPath(issue.path);
  return new HttpError(`Cannot use the request, ${showIssue(issue)}`, {
    status: 400,
    code: issue.rule === "is required" ? "missing_required_parameter" : "invalid_value",
    ...(param === "" ? {} : { param }),
  });
}

/** The sampling options that a request names. */
export function samplingOf(shared: Shared): Partial<SamplingOptions> {
  return {
    ...given("temperature", shared.temperature),
    ...given("topK", shared.top_k === undefined ? undefined : Math.max(0, shared.top_k)),
    // 0 asks for the likeliest token alone, and the sampler's range begins above it.
    ...given("topP", shared.top_p === 0 ? Number.EPSILON : shared.top_p),
    ...given("minP", shared.min_p),
    ...given("repetitionPenalty", shared.repetition_penalty),
    ...given("presencePenalty", shared.presence_penalty),
    ...given("frequencyPenalty", shared.frequency_penalty),
    ...given("seed", shared.seed === undefined ? undefined : shiftSeed(shared.seed, 0)),
  };
}

/** The stop strings of a request. */
export function stopsOf({ stop }: Shared): readonly string[] {
  return stop === undefined ? [] : typeof stop === "string" ? [stop] : stop;
}

/** The low 53 bits of `seed + offset`. */
export function shiftSeed(seed: number, offset: number): number {
  return Number(BigInt.asUintN(53, BigInt(seed) + BigInt(offset)));
}

/** Refuses more choices than the limit. */
export function checkChoices(prompts: number, n: number, limit: number): void {
  if (prompts * n <= limit) return;
  const rule = `must ask for at most ${limit} choices, prompts times n`;
  throw refuse({ path: ["n"], rule, shown: String(prompts * n) });
}

/** Refuses more characters than the limit. */
export function checkLength(param: string, characters: number, limit: number): void {
  if (characters <= limit) return;
  throw new HttpError(
    `Cannot use the request, ${param} must have at most ${limit} characters: ${characters}`,
    { status: 400, code: "context_length_exceeded", param },
  );
}

/** An object with the key, or without it where there is no value. */
export function given<K extends string, V>(key: K, value: V | undefined): { [P in K]?: V } {
  return (value === undefined ? {} : { [key]: value }) as { [P in K]?: V };
}
