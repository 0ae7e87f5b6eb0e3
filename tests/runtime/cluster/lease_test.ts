import assert from "node:assert/strict";
import {
  acquireLease,
  type Clock,
  createMemoryStore,
  defineActor,
  FakeClock,
  Fence,
  type Lease,
  type LeaseOptions,
  seededRng,
  standFor,
  type Store,
} from "../../../runtime/mod.ts";
import { silent } from "../support/lanes.ts";
import { openCluster } from "./support.ts";

const ttlMs = 3000;

function candidate(
  holder: string,
  store: Store,
  clock: Clock,
  more: Partial<LeaseOptions> = {},
): LeaseOptions {
  return {
    store,
    clock,
    rng: seededRng(holder),
    log: silent,
    key: "lease",
    holder,
    ttlMs,
    ...more,
  };
}

/** Takes a lease and notes it in `held` once it is there. */
function take(options: LeaseOptions) {
  const stop = new AbortController();
  const taken = { lease: null as Lease | null, stop };
  acquireLease(options, stop.signal).then((lease) => taken.lease = lease, () => {});
  return taken;
}

/** A store that can be cut off, or lose everything. */
function frailStore() {
  let inner = createMemoryStore();
  let down = false;
  const reach = <T>(work: (store: Store) => Promise<T>) =>
    down ? Promise.reject<T>(new Error("Store is down")) : work(inner);
  const store: Store = {
    get: (key) => reach((s) => s.get(key)),
    set: (key, value) => reach((s) => s.set(key, value)),
    compareAndSet: (key, version, value) => reach((s) => s.compareAndSet(key, version, value)),
    delete: (key) => reach((s) => s.delete(key)),
    list: (prefix) => reach((s) => s.list(prefix)),
  };
  return {
    store,
    cut: (isDown: boolean) => void (down = isDown),
    wipe: () => void (inner = createMemoryStore()),
  };
}

Deno.test("acquireLease() lets one hold at a time, and the next epoch follows a release", async () => {
  const [clock, store] = [new FakeClock(), createMemoryStore()];
  const a = take(candidate("a", store, clock));
  await clock.settle();
  assert.equal(a.lease?.epoch, 1);
  const b = take(candidate("b", store, clock));
  await clock.advance(60_000);
  assert.equal(b.lease, null);
  assert.equal(a.lease!.signal.aborted, false);
  await a.lease!.release();
  assert.equal(a.lease!.signal.aborted, true);
  await clock.advance(ttlMs / 3);
  assert.equal((b.lease as Lease | null)?.epoch, 2);
  await b.lease!.release();
});

Deno.test("a holder that cannot renew stops before another takes over", async () => {
  const clock = new FakeClock();
  const shared = createMemoryStore();
  const frail = { down: false };
  const own: Store = {
    ...shared,
    compareAndSet: (...args) => frail.down ? new Promise(() => {}) : shared.compareAndSet(...args),
  };
  const a = take(candidate("a", own, clock));
  await clock.settle();
  const ended: number[] = [];
  a.lease!.signal.addEventListener("abort", () => ended.push(clock.now()));
  const b = take(candidate("b", shared, clock));
  await clock.advance(5000);
  frail.down = true;
  const cutAt = clock.now();
  let takenAt = 0;
  while (!b.lease && clock.now() < cutAt + 20_000) {
    await clock.advance(10);
    if (b.lease) takenAt = clock.now();
  }
  assert.equal(ended.length, 1);
  assert.ok(ended[0]! < takenAt, `ended at ${ended[0]}, taken at ${takenAt}`);
  assert.ok(takenAt - cutAt <= 1.5 * ttlMs, `taken after ${takenAt - cutAt} ms`);
  assert.equal((b.lease as Lease | null)?.epoch, 2);
  await b.lease!.release();
});

Deno.test("a short loss of the store does not end a lease, and losing its content neither", async () => {
  const clock = new FakeClock();
  const { store, cut, wipe } = frailStore();
  const a = take(candidate("a", store, clock));
  await clock.settle();
  const b = take(candidate("b", store, clock, { floor: () => 1 }));
  await clock.advance(2000);
  cut(true);
  await clock.advance(1000);
  cut(false);
  await clock.advance(10_000);
  assert.equal(a.lease!.signal.aborted, false);
  wipe();
  await clock.advance(10_000);
  assert.equal(a.lease!.signal.aborted, false);
  assert.equal(b.lease, null);
  b.stop.abort();
  await a.lease!.release();
  await clock.settle();
});

Deno.test("acquireLease() tells what is wrong with the store, and when that is over", async () => {
  const clock = new FakeClock();
  const { store, cut } = frailStore();
  const told: (string | null)[] = [];
  const trouble = (why: string | null) => void (told.at(-1) === why || told.push(why));
  cut(true);
  const a = take(candidate("a", store, clock, { trouble }));
  await clock.advance(2000);
  assert.deepEqual(told, ["Store is down"]);
  cut(false);
  await clock.advance(2000);
  assert.deepEqual(told, ["Store is down", null]);
  cut(true);
  await clock.advance(2000);
  cut(false);
  await clock.advance(2000);
  assert.deepEqual(told, ["Store is down", null, "Store is down", null]);
  await a.lease!.release();
});

Deno.test("an epoch never comes back, even when the store has lost it", async () => {
  const clock = new FakeClock();
  const a = take(candidate("a", createMemoryStore(), clock, { floor: () => 41 }));
  await clock.advance(ttlMs / 2);
  assert.equal(a.lease, null, "another may still hold it");
  await clock.advance(ttlMs);
  assert.equal((a.lease as Lease | null)?.epoch, 42);
  await a.lease!.release();
});

Deno.test("a renewal whose answer is lost does not cost the lease", async () => {
  const clock = new FakeClock();
  const inner = createMemoryStore();
  let lose = false;
  const store: Store = {
    ...inner,
    async compareAndSet(...args) {
      const version = await inner.compareAndSet(...args);
      if (!lose) return version;
      lose = false;
      throw new Error("Answer was lost");
    },
  };
  const a = take(candidate("a", store, clock));
  await clock.settle();
  lose = true;
  await clock.advance(10_000);
  assert.equal(lose, false);
  assert.equal(a.lease!.signal.aborted, false);
  await a.lease!.release();
});

Deno.test("garbage in the store is outwaited", async () => {
  const [clock, store] = [new FakeClock(), createMemoryStore()];
  await store.set("lease", { holder: 7, epoch: "x" });
  const a = take(candidate("a", store, clock));
  await clock.advance(ttlMs / 2);
  assert.equal(a.lease, null);
  await clock.advance(ttlMs);
  assert.equal((a.lease as Lease | null)?.epoch, 1);
  await a.lease!.release();
});

Deno.test("Fence() refuses what is older than the newest epoch", () => {
  const fence = new Fence();
  fence.admit(3);
  fence.admit(3);
  fence.raise(5);
  fence.raise(4);
  assert.throws(() => fence.admit(4), { code: "Moved" });
  fence.admit(5);
  assert.equal(fence.epoch, 5);
});

Deno.test("standFor() runs one actor in the cluster, and another node takes over", async () => {
  await using cluster = openCluster();
  const alive: string[] = [];
  const Leader = defineActor<Record<never, never>, string, string>({
    kind: "leader",
    start: (_, name) => {
      alive.push(name);
      return name;
    },
    stop: (name) => void alive.splice(alive.indexOf(name), 1),
    receive: {},
  });
  const stand = (node: string) => {
    const { system } = cluster.join(node);
    return standFor(system, {
      key: "leader",
      definition: Leader,
      id: "leader",
      args: ({ epoch }) => `${node}${epoch}`,
    });
  };
  const a = stand("a");
  await cluster.clock.settle();
  const b = stand("b");
  await cluster.clock.advance(10_000);
  assert.deepEqual(alive, ["a1"]);
  const closing = a.close();
  await cluster.clock.advance(2000);
  await closing;
  assert.deepEqual(alive, ["b2"]);
  const ending = b.close();
  await cluster.clock.advance(1000);
  await ending;
  assert.deepEqual(alive, []);
});
