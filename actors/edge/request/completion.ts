import { z } from "zod";
import { showValue } from "../../config/mod.ts";
import type { Prompt } from "../../protocol.ts";
import {
  asObject,
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
} from "./shared.ts";
import { completionUnsupported, refuseUnsupported } from "./unsupported.ts";

const maxTokenId = 2 ** 31 - 1;

const schema = z.object({
  ...sharedFields,
  prompt: z.unknown().optional(),
  echo: z.boolean().optional(),
  logprobs: z.int().min(0).max(20).optional(),
});

/** Makes the check of `POST /v1/completions`. The check throws `HttpError` 400. */
export function completionParser(limits: RequestLimits): (body: unknown) => Job {
  return (body) => {
    const object = asObject(body);
    refuseUnsupported(object, completionUnsupported);
    return toJob(check(schema, object), limits);
  };
}

function toJob(completion: z.output<typeof schema>, limits: RequestLimits): Job {
  const prompts = toPrompts(completion.prompt, limits);
  const n = completion.n ?? 1;
  checkChoices(prompts.length, n, limits.choices);
  return {
    model: completion.model,
    prompts,
    echoes: completion.echo ? echoes(prompts, completion.logprobs) : [],
    n,
    stream: completion.stream ?? false,
    includeUsage: completion.stream_options?.include_usage ?? false,
    ...given("maxTokens", completion.max_tokens),
    stop: stopsOf(completion),
    sampling: samplingOf(completion),
    ...given("logprobs", completion.logprobs),
  };
}

function echoes(prompts: readonly Prompt[], logprobs: number | undefined): readonly string[] {
  if (logprobs !== undefined) {
    throw refuse({ path: ["echo"], rule: "does not go with logprobs", shown: "true" });
  }
  return prompts.map((prompt) => {
    if (prompt.kind === "text") return prompt.text;
    throw refuse({
      path: ["echo"],
      rule: "needs prompts of text, not of token ids",
      shown: "true",
    });
  });
}

function toPrompts(value: unknown, limits: RequestLimits): readonly Prompt[] {
  if (!Array.isArray(value)) return [toPrompt(value, ["prompt"], limits)];
  if (value.length === 0) throw wrong(["prompt"], "must hold at least 1 item", value);
  if (typeof value[0] === "number") return [toPrompt(value, ["prompt"], limits)];
  if (value.length > limits.choices) {
    throw wrong(["prompt"], `must hold at most ${limits.choices} items`, value);
  }
  return value.map((item, index) => toPrompt(item, ["prompt", index], limits));
}

type Path = readonly [string, number?];

function toPrompt(value: unknown, path: Path, limits: RequestLimits): Prompt {
  if (typeof value === "string") {
    if (!value.isWellFormed()) throw wrong(path, "must be well-formed Unicode", value);
    checkLength("prompt", value.length, limits.promptCharacters);
    return { kind: "text", text: value };
  }
  if (value === undefined) throw wrong(path, "is required", value);
  if (!Array.isArray(value)) throw wrong(path, "must be text or a list of token ids", value);
  if (value.length === 0) throw wrong(path, "must hold at least 1 item", value);
  checkLength("prompt", value.length, limits.promptCharacters);
  const bad = value.findIndex((id) => !(Number.isInteger(id) && id >= 0 && id <= maxTokenId));
  if (bad >= 0) throw wrong([...path, bad], "must be a token id", value[bad]);
  return { kind: "ids", ids: value };
}

function wrong(path: readonly (string | number | undefined)[], rule: string, value: unknown) {
  const steps = path.filter((step) => step !== undefined);
  return refuse({ path: steps, rule, shown: showValue(value) });
}
