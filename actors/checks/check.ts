import { z } from "zod";
import { ActorError, reject } from "../../runtime/mod.ts";
import { firstIssue, showIssue } from "../config/mod.ts";

/** What a check does: it throws `ActorError` that names place, rule and value. */
export type Check<T> = (message: unknown) => asserts message is T;

/** A check of messages by a schema. What fails is refused with `AppError`. */
export function checkBy<T>(schema: z.ZodType<T>): Check<T> {
  return (message) => {
    const problem = problemOf(schema, message);
    if (problem !== null) reject(`Cannot take the message, ${problem}`);
  };
}

/** A check of answers by a schema. Who answers nonsense counts as lost: `Terminated`. */
export function checkAnswerBy<T>(schema: z.ZodType<T>): Check<T> {
  return (answer) => {
    const problem = problemOf(schema, answer);
    if (problem !== null) throw new ActorError("Terminated", `Cannot use the answer, ${problem}`);
  };
}

function problemOf(schema: z.ZodType, value: unknown): string | null {
  const result = schema.safeParse(value);
  return result.success ? null : showIssue(firstIssue(result.error, value));
}

/** A whole number from 0. */
export const count = z.int().nonnegative();

/** Any number but NaN: a log-probability may be minus infinity. */
export const logprob = z.custom<number>((value) => typeof value === "number" && value === value, {
  error: "must be a number",
});

/** A token id. */
export const tokenId = z.int32().nonnegative();

/** A name or id of at most 256 characters. */
export const shortText = z.string().max(256);

/** Whole numbers of 32 bits, raw. */
export const int32s = z.instanceof(Int32Array);

/** Floats, raw. */
export const float32s = z.instanceof(Float32Array);

/** Activations, raw. */
export const activations = z.union([float32s, z.instanceof(Float16Array)]);

const number = z.number();

/** How tokens are drawn, all fields given. */
export const sampling = z.object({
  temperature: number.min(0),
  topK: count,
  topP: number.positive().max(1),
  minP: number.min(0).max(1),
  repetitionPenalty: number.positive(),
  presencePenalty: number,
  frequencyPenalty: number,
  seed: z.int(),
});
