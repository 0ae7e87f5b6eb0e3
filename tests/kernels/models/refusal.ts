import assert from "node:assert/strict";
import { KernelError, type KernelErrorCode } from "../../../kernels/errors.ts";

/** Asserts that `body` throws a {@link KernelError} of this code, in one line that mentions all of `mentions`. */
export function assertRefused(
  body: () => unknown,
  code: KernelErrorCode,
  ...mentions: readonly string[]
): void {
  assert.throws(body, (error) => {
    assertClear(error);
    assert.equal(error.code, code, error.message);
    for (const mention of mentions) assert(error.message.includes(mention), error.message);
    return true;
  });
}

/** Asserts that an error is a {@link KernelError} in one line that a person can read. */
export function assertClear(error: unknown): asserts error is KernelError {
  assert(error instanceof KernelError, String(error));
  assert.match(error.message, /^[A-Z][^\n\r]{1,400}$/);
}
