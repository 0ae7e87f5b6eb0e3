/**
 * The Worker of one compute device: hosts the partitions, expert shards and replicas placed there. Started
 * with the query `?kind=cpu&threads=2&name=cpu`.
 */
import { type DeviceKind, openDevice } from "../../kernels/mod.ts";
import { serveThread } from "../../runtime/mod.ts";
import { defineExpertShard } from "../experts/mod.ts";
import { tracing } from "../tracing.ts";
import { definePartition, Replica } from "../replica/mod.ts";
import { defineMeter } from "./meter.ts";

const query = new URL(import.meta.url).searchParams;
const kind = (query.get("kind") ?? "cpu") as DeviceKind;
const device = await openDevice(kind, Number(query.get("threads") ?? 1));

serveThread({
  ...await tracing(),
  kinds: [definePartition(device), defineExpertShard(device), Replica, defineMeter(device)],
});
