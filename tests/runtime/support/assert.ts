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

/** Waits for a condition: a while with every turn of the event loop, then 10 s in steps; else fails. */
export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  for (let turn = 0; turn < 4000; turn++) {
    if (await condition()) return;
    await new Promise<void>((resolve) => {
      if (turn < 2000) setImmediate(resolve);
      else setTimeout(resolve, 5);
    });
  }
  assert.fail("condition never came true");
}

/** All items of a stream. */
export async function collect<T>(stream: AsyncIterable<T>): Promise<T[]> {
  const items: T[] = [];
  for await (const item of stream) items.push(item);
  return items;
}
