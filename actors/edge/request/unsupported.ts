import { HttpError } from "../errors.ts";

type Neutral = (value: unknown, body: Readonly<Record<string, unknown>>) => boolean;

const never: Neutral = () => false;
const empty: Neutral = (value) =>
  typeof value === "object" && Object.keys(value ?? {}).length === 0;
const only = (...values: readonly unknown[]): Neutral => (value) => values.includes(value);

const shared: Readonly<Record<string, Neutral>> = { logit_bias: empty };

/** What OpenAI's chat endpoint knows and this one cannot do, with the values that ask for nothing. */
export const chatUnsupported: Readonly<Record<string, Neutral>> = {
  ...shared,
  tools: empty,
  tool_choice: only("none"),
  functions: empty,
  function_call: only("none"),
  response_format: (value) => (value as { type?: unknown })?.type === "text",
  modalities: (value) => Array.isArray(value) && value.every((item) => item === "text"),
  audio: never,
  prediction: never,
  web_search_options: never,
  reasoning_effort: only("none"),
  verbosity: only("medium"),
  store: only(false),
};

/** The same of the completions endpoint. */
export const completionUnsupported: Readonly<Record<string, Neutral>> = {
  ...shared,
  suffix: only(""),
  best_of: (value, { n }) => value === 1 || value === n,
};

/** Refuses what cannot be done, rather than answer as if it had been. Throws `HttpError` 400. */
export function refuseUnsupported(
  body: Readonly<Record<string, unknown>>,
  unsupported: Readonly<Record<string, Neutral>>,
): void {
  for (const [param, neutral] of Object.entries(unsupported)) {
    const value = body[param];
    if (!Object.hasOwn(body, param) || value === null || neutral(value, body)) continue;
    throw new HttpError(`Cannot use the request, this server does not support it: ${param}`, {
      status: 400,
      code: "unsupported_parameter",
      param,
    });
  }
}
