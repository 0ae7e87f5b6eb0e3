import type { TuningCache } from "../../kernels/mod.ts";

/** The name among the caches of this program. */
const NAME = "tandem-gpu";

/**
 * Keeps what was measured of GPUs where the runtime keeps web caches, below its own folder, for which no permission to
 * write files is needed. A cache that cannot be used is a warning: then they are measured anew.
 */
export function createTuningCache(
  warn: (line: string) => void,
  storage: Pick<CacheStorage, "open"> = caches,
): TuningCache {
  const attempt = async (action: string, work: (cache: Cache) => Promise<unknown>) => {
    try {
      return await work(await storage.open(NAME));
    } catch (error) {
      warn(`Cannot ${action} what was measured of the GPU: ${(error as Error).message}`);
    }
  };
  return {
    get: (adapter) =>
      attempt("read", async (cache) => await (await cache.match(addressOf(adapter)))?.json()),
    set: async (adapter, tuning) => {
      await attempt("keep", (cache) => cache.put(addressOf(adapter), Response.json(tuning)));
    },
  };
}

/** Caches are by address. */
function addressOf(adapter: string): string {
  return `https://tandem.invalid/gpu/${encodeURIComponent(adapter)}`;
}
