import { z } from "zod";
import type { Prompt } from "../protocol.ts";

/** A prompt with its right answer. */
export interface LabelledPrompt {
  /** What is asked. */
  readonly prompt: string;
  /** The right answer, compared without the white space around it. */
  readonly answer: string;
}

const schema = z.object({ prompt: z.string().min(1), answer: z.string() });

/** A file of labelled items that cannot be used, in one line. */
export class ItemsError extends Error {
  /** Its class. */
  override readonly name = "ItemsError";
}

/** Reads labelled prompts from JSON lines; fields other than `prompt` and `answer` are kept. */
export function parseItems(text: string, path: string): LabelledPrompt[] {
  const lines = text.split("\n");
  const items = lines.flatMap((line, index) =>
    line.trim() === "" ? [] : [parseItem(line, index + 1, path)]
  );
  if (items.length === 0) throw new ItemsError(`Cannot use ${path}: no items in it`);
  return items;
}

function parseItem(line: string, number: number, path: string): LabelledPrompt {
  let json: unknown;
  try {
    json = JSON.parse(line);
  } catch {
    throw new ItemsError(`Cannot read ${path}, line ${number}: not JSON`);
  }
  const result = schema.loose().safeParse(json);
  if (result.success) return result.data;
  const issue = result.error.issues[0]!;
  throw new ItemsError(
    `Cannot read ${path}, line ${number}, ${issue.path.join(".") || "item"}: ${issue.message}`,
  );
}

/** A labelled prompt as a router is asked: through the chat template where the models have one. */
export function toPrompt({ prompt }: LabelledPrompt, chat: boolean): Prompt {
  return chat
    ? { kind: "messages", messages: [{ role: "user", content: prompt }] }
    : { kind: "text", text: prompt };
}

/** Whether two answers are the same but for white space around them. */
export function isExactMatch(given: string, expected: string): boolean {
  return given.trim() === expected.trim();
}
