import type { z } from "zod";
import { FormatError } from "./errors.ts";
import { quote } from "../quote.ts";

/**
 * Reads and parses a JSON file of at most `maxBytes`. Throws `NotFound`, `TooLarge`, or `InvalidConfig`
 * when it is not JSON in UTF-8.
 */
export function readJsonFile(path: string, maxBytes: number): unknown {
  const text = readTextFile(path, maxBytes);
  try {
    return JSON.parse(text);
  } catch {
    throw new FormatError("InvalidConfig", `Cannot parse JSON of ${path}: ${quote(text)}`);
  }
}

/** {@link readJsonFile}, or `undefined` when there is no such file. */
export function readOptionalJsonFile(path: string, maxBytes: number): unknown {
  return isFile(path) ? readJsonFile(path, maxBytes) : undefined;
}

/** Reads a UTF-8 file of at most `maxBytes`. Throws `NotFound`, `TooLarge` or `InvalidConfig`. */
export function readTextFile(path: string, maxBytes: number): string {
  if (!isFile(path)) throw new FormatError("NotFound", `Cannot find file: ${path}`);
  const { size } = Deno.statSync(path);
  if (size > maxBytes) {
    throw new FormatError(
      "TooLarge",
      `Cannot read ${path} of more than ${maxBytes} bytes: ${size} bytes`,
    );
  }
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(Deno.readFileSync(path));
  } catch (cause) {
    throw new FormatError("InvalidConfig", `Cannot read text of ${path}: ${reason(cause)}`);
  }
}

/** Whether a readable path names a file. */
export function isFile(path: string): boolean {
  return kindOf(path)?.isFile ?? false;
}

/** Whether a readable path names a folder. */
export function isDirectory(path: string): boolean {
  return kindOf(path)?.isDirectory ?? false;
}

/** What a schema refused first: path, complaint and value. */
export function invalidValue(error: z.ZodError, value: unknown): string {
  const [issue] = error.issues;
  const path = issue?.path.map(String) ?? [];
  const found = path.reduce<unknown>((at, key) => (at as Record<string, unknown>)?.[key], value);
  const complaint = issue?.message ?? "is invalid";
  const where = path.length > 0 ? `${path.join(".")}: ` : "";
  return `${oneLine(`${where}${complaint}`)}, got ${quote(found)}`;
}

/** The message of a caught value, on one line of at most 300 characters. */
export function reason(cause: unknown): string {
  return oneLine(cause instanceof Error ? cause.message : String(cause));
}

function oneLine(text: string): string {
  return text.replace(/\s+/g, " ").slice(0, 300);
}

function kindOf(path: string): Deno.FileInfo | null {
  try {
    return Deno.statSync(path);
  } catch {
    return null;
  }
}
