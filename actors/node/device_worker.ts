/**
 * The Worker of one compute device: hosts the partitions, expert shards and replicas placed there. Started
 * with a query such as `?kind=cpu&threads=2` or `?kind=gpu&provider=deno&memory=4294967296`.
 */
import { type DeviceKind, type GpuProvider, openDevice } from "../../kernels/mod.ts";
import { serveThread } from "../../runtime/mod.ts";
import { defineExpertShard } from "../experts/mod.ts";
import { tracing } from "../tracing.ts";
import { definePartition, Replica } from "../replica/mod.ts";
import { defineMeter } from "./meter.ts";
import { createTuningCache } from "./tuning_cache.ts";

const query = new URL(import.meta.url).searchParams;
const kind = (query.get("kind") ?? "cpu") as DeviceKind;
const say = (line: string) => console.error(line);
const tune = {
  cache: createTuningCache(say),
  begin: (adapter: string) => say(`Measuring a GPU once, for half a minute or so: ${adapter}`),
};
const device = await openDevice(kind, Number(query.get("threads") ?? 1), {
  provider: (query.get("provider") ?? "deno") as GpuProvider,
  ...(query.has("memory") && { maxBytes: Number(query.get("memory")) }),
  ...(query.get("tune") !== "no" && { tune }),
});

// Nothing here can go on without it: the error ends this Worker, and the node begins another.
device.loss?.then((why) => {
  throw new Error(`Lost the ${kind}: ${why}`);
});

serveThread({
  ...await tracing(),
  kinds: [definePartition(device), defineExpertShard(device), Replica, defineMeter(device)],
});
