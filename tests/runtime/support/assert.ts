import assert from "node:assert/strict";
import { ActorError, type ActorErrorCode } from "../../../runtime/mod.ts";

/** Expects an `ActorError` with a code, and answers it. */
export async function rejectsWith(
  code: ActorErrorCode,
  work: Promise<unknown> | (() => unknown),
): Promise<ActorError> {
  try {
    await (typeof work === "function" ? work() : work);
  } catch (error) {
    assert.ok(error instanceof ActorError, `expected an ActorError: ${error}`);
    assert.equal(error.code, code, error.message);
    return error;
  }
  throw new assert.AssertionError({ message: `expected ${code}, but nothing was thrown` });
}

/** Waits for a condition, giving the event loop its turns; fails after many. */
export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  for (let turn = 0; turn < 20_000; turn++) {
    if (await condition()) return;
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
  assert.fail("condition never came true");
}

/** All items of a stream. */
export async function collect<T>(stream: AsyncIterable<T>): Promise<T[]> {
  const items: T[] = [];
  for await (const item of stream) items.push(item);
  return items;
}
