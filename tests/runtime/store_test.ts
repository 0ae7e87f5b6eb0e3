import assert from "node:assert/strict";
import fc from "fast-check";
import {
  connectNats,
  createDenoKvStore,
  createMemoryStore,
  createNatsStore,
  hasDenoKv,
  type Store,
} from "../../runtime/mod.ts";
import { startNats } from "../support/nats.ts";
import { rejectsWith, until } from "./support/assert.ts";

interface OpenStore extends AsyncDisposable {
  readonly store: Store;
}

/** The stores that keep the contract, by name. */
const stores: Readonly<Record<string, () => Promise<OpenStore>>> = {
  memory: () => {
    const close = () => Promise.resolve();
    return Promise.resolve({ store: createMemoryStore(), [Symbol.asyncDispose]: close });
  },
  "Deno KV": async () => {
    const kv = await Deno.openKv(":memory:");
    const close = () => Promise.resolve(kv.close());
    return { store: createDenoKvStore(kv), [Symbol.asyncDispose]: close };
  },
  "NATS, in files": () => openNats("file"),
  "NATS, in memory": () => openNats("memory"),
};

async function openNats(storage: "file" | "memory"): Promise<OpenStore> {
  const server = await startNats();
  const transport = await connectNats({ servers: [server.url] });
  return {
    store: createNatsStore(transport, { bucket: "test", storage }),
    async [Symbol.asyncDispose]() {
      await transport.close();
      await server[Symbol.asyncDispose]();
    },
  };
}

type Contract = (store: Store) => Promise<void>;

const contract: Readonly<Record<string, Contract>> = {
  "compareAndSet() writes only over the version that it was given": async (store) => {
    assert.equal(await store.get("a/1"), null);
    const first = await store.compareAndSet("a/1", null, { n: 1 });
    assert.ok(first);
    assert.equal(await store.compareAndSet("a/1", null, { n: 9 }), null);
    assert.deepEqual(await store.get("a/1"), { value: { n: 1 }, version: first });
    const second = await store.compareAndSet("a/1", first, { n: 2 });
    assert.ok(second);
    assert.equal(await store.compareAndSet("a/1", first, { n: 9 }), null);
    assert.equal(await store.compareAndSet("a/2", second, { n: 9 }), null, "never written");
    assert.deepEqual((await store.get("a/1"))?.value, { n: 2 });
  },

  "compareAndSet() lets one of many through": async (store) => {
    const tries = Array.from({ length: 8 }, (_, n) => store.compareAndSet("race", null, n));
    const won = (await Promise.all(tries)).flatMap((version, n) => version === null ? [] : [n]);
    assert.equal(won.length, 1);
    assert.equal((await store.get("race"))?.value, won[0]);
  },

  "delete() makes room for a new value, whose version is new": async (store) => {
    await store.delete("never/there");
    const version = await store.set("d", 1);
    await store.delete("d");
    assert.equal(await store.get("d"), null);
    assert.deepEqual(await store.list("d"), []);
    assert.equal(await store.compareAndSet("d", version, 2), null);
    const again = await store.compareAndSet("d", null, 3);
    assert.ok(again && again !== version);
  },

  "list() answers the keys under a prefix, in order": async (store) => {
    assert.deepEqual(await store.list(""), []);
    for (const key of ["a/2", "a/1", "a/1/x", "ab", "b"]) await store.set(key, key);
    assert.deepEqual(await store.list("a/"), ["a/1", "a/1/x", "a/2"]);
    assert.deepEqual(await store.list("a"), ["a/1", "a/1/x", "a/2", "ab"]);
    assert.deepEqual(await store.list("a/1/"), ["a/1/x"]);
    assert.deepEqual(await store.list(""), ["a/1", "a/1/x", "a/2", "ab", "b"]);
    assert.deepEqual(await store.list("c"), []);
  },

  "set() carries plain data": async (store) => {
    const value = { text: "語", list: [1, -2.5, null, true], bytes: new Uint8Array([1, 2, 3]) };
    await store.set("value", value);
    const read = (await store.get("value"))!.value as typeof value;
    assert.deepEqual({ ...read, bytes: [...read.bytes] }, { ...value, bytes: [1, 2, 3] });
  },

  "get() tells all keys apart": async (store) => {
    const segment = fc.string({ minLength: 1, maxLength: 8, unit: "grapheme" })
      .filter((text) => text.isWellFormed()).map((text) => text.replaceAll("/", "_"));
    const key = fc.array(segment, { minLength: 1, maxLength: 3 }).map((parts) => parts.join("/"));
    await fc.assert(
      fc.asyncProperty(fc.uniqueArray(key, { minLength: 2, maxLength: 4 }), async (keys) => {
        for (const key of keys) await store.set(`k/${key}`, key);
        for (const key of keys) assert.equal((await store.get(`k/${key}`))?.value, key);
        assert.ok((await store.list("k/")).includes(`k/${keys[0]}`));
      }),
      { numRuns: 20 },
    );
  },
};

for (const [name, open] of Object.entries(stores)) {
  const ignore = name === "Deno KV" && !hasDenoKv();
  const reason = ignore ? " (skipped: needs --unstable-kv)" : "";
  Deno.test(`store contract over ${name}${reason}`, { ignore }, async (t) => {
    for (const [claim, check] of Object.entries(contract)) {
      await t.step(claim, async () => {
        await using opened = await open();
        await check(opened.store);
      });
    }
  });
}

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

Deno.test("createDenoKvStore() refuses a value that is too large", {
  ignore: !hasDenoKv(),
}, async () => {
  using kv = await Deno.openKv(":memory:");
  await rejectsWith("TooLarge", createDenoKvStore(kv).set("k", new Uint8Array(70_000)));
});

Deno.test("createNatsStore() is there again after its server was, and has lost what was in memory", async () => {
  await using server = await startNats();
  const transport = await connectNats({ servers: [server.url], reconnectMs: [5, 20] });
  const onDisk = createNatsStore(transport, { bucket: "disk" });
  const inMemory = createNatsStore(transport, { bucket: "memory", storage: "memory" });
  const versions = [await onDisk.set("k", 1), await inMemory.set("k", 1)];
  await server.kill();
  await until(() => !transport.isUp);
  await rejectsWith("NoRoute", inMemory.get("k"));
  await server.restart();
  for (const store of [onDisk, inMemory]) {
    await until(() => store.get("k").then(() => true, () => false));
  }
  assert.deepEqual(await onDisk.get("k"), { value: 1, version: versions[0] });
  assert.equal(await inMemory.get("k"), null);
  assert.equal(await inMemory.compareAndSet("k", versions[1]!, 2), null, "of another life");
  const again = await inMemory.compareAndSet("k", null, 2);
  assert.ok(again && again !== versions[1]);
  await transport.close();
});

Deno.test("createNatsStore() fails at once when the connection is lost", async () => {
  await using server = await startNats();
  const transport = await connectNats({ servers: [server.url], pingIntervalMs: 50 });
  const store = createNatsStore(transport, { bucket: "b" });
  await store.set("k", 1);
  await server.pause();
  await rejectsWith("Timeout", store.set("k", 2));
  server.resume();
  await transport.close();
});

Deno.test("createNatsStore() says when a value is too large, and when there is no room", async () => {
  await using server = await startNats();
  const transport = await connectNats({ servers: [server.url] });
  const store = createNatsStore(transport, { bucket: "small", bytes: 100_000 });
  await rejectsWith("TooLarge", store.set("k", new Uint8Array(2 << 20)));
  await rejectsWith("Overloaded", async () => {
    for (let n = 0; n < 20; n++) await store.set(`k${n}`, new Uint8Array(10_000));
  });
  assert.ok(await store.get("k0"), "what is there stays there");
  await transport.close();
});
