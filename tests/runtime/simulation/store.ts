import {
  ActorError,
  type Clock,
  createMemoryStore,
  type Rng,
  sleep,
  type Store,
} from "../../../runtime/mod.ts";

/** A store that answers late, and now and then not at all. */
export interface FlakyStore extends Store {
  /** Whether it loses requests, and answers to requests that it has carried out. */
  isFlaky: boolean;
  /** Whether it refuses everything. */
  isDown: boolean;
}

/** Makes a store in memory that may misbehave. */
export function createFlakyStore(clock: Clock, rng: Rng): FlakyStore {
  const store = createMemoryStore();
  const faulty = async <T>(work: () => Promise<T>): Promise<T> => {
    await sleep(clock, 1 + rng.integer(5));
    if (flaky.isDown) throw new ActorError("NoRoute", "Store is down");
    if (loses()) throw new ActorError("Timeout", "Store lost the request");
    const done = await work();
    await sleep(clock, 1 + rng.integer(5));
    if (loses()) throw new ActorError("Timeout", "Store lost the answer");
    return done;
  };
  const loses = () => flaky.isFlaky && rng.next() < 0.03;
  const flaky: FlakyStore = {
    isFlaky: true,
    isDown: false,
    get: (key: string) => faulty(() => store.get(key)),
    set: (key: string, value: unknown) => faulty(() => store.set(key, value)),
    compareAndSet: (key: string, version: string | null, value: unknown) =>
      faulty(() => store.compareAndSet(key, version, value)),
    delete: (key: string) => faulty(() => store.delete(key)),
    list: (prefix: string) => faulty(() => store.list(prefix)),
  };
  return flaky;
}
