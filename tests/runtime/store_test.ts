import assert from "node:assert/strict";
import { createMemoryStore, type Store } from "../../runtime/mod.ts";

/** Every store must keep this. */
async function keepsContract(store: Store): Promise<void> {
  assert.equal(await store.get("a/1"), null);
  const first = await store.compareAndSet("a/1", null, { n: 1 });
  assert.ok(first);
  assert.equal(await store.compareAndSet("a/1", null, { n: 9 }), null);
  assert.deepEqual(await store.get("a/1"), { value: { n: 1 }, version: first });
  const second = await store.compareAndSet("a/1", first, { n: 2 });
  assert.ok(second);
  assert.equal(await store.compareAndSet("a/1", first, { n: 9 }), null);
  await store.set("a/0", "zero");
  await store.set("b/0", "other");
  assert.deepEqual(await store.list("a/"), ["a/0", "a/1"]);
  await store.delete("a/1");
  assert.equal(await store.get("a/1"), null);
  const again = await store.compareAndSet("a/1", null, { n: 3 });
  assert.ok(again && again !== second, "a version never comes back");
}

Deno.test("createMemoryStore() keeps the contract of stores", () =>
  keepsContract(createMemoryStore()));

Deno.test("createMemoryStore() copies values in and out", async () => {
  const store = createMemoryStore();
  const value = { list: [1] };
  await store.set("k", value);
  value.list.push(2);
  const read = (await store.get("k"))!.value as typeof value;
  assert.deepEqual(read, { list: [1] });
  read.list.push(3);
  assert.deepEqual((await store.get("k"))!.value, { list: [1] });
});
