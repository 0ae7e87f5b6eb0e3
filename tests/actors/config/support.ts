import { equal, ok } from "node:assert/strict";
import { ConfigError, type ConfigErrorCode } from "../../../actors/config/mod.ts";

/** Asserts that `body` throws a one-line `ConfigError` with this code that says `text`. */
export function assertThrowsWith(body: () => unknown, code: ConfigErrorCode, text: string): void {
  try {
    body();
  } catch (error) {
    return check(error, code, text);
  }
  throw new Error(`Expected an error that says: ${text}`);
}

/** The same of a promise. */
export async function assertRejectsWith(
  promise: Promise<unknown>,
  code: ConfigErrorCode,
  text: string,
): Promise<void> {
  const error = await promise.then(() => null, (reason) => reason);
  check(error, code, text);
}

function check(error: unknown, code: ConfigErrorCode, text: string): void {
  ok(error instanceof ConfigError, `not a ConfigError: ${error}`);
  equal(error.code, code);
  ok(error.message.includes(text), `${error.message}\ndoes not say: ${text}`);
  equal(error.message.includes("\n"), false);
}
