import { z } from "zod";
import type { HostOrder, NodeFacts, UnhostOrder } from "../node_protocol.ts";
import { type Check, checkBy, count } from "./check.ts";

const text = z.string().max(4096);
const name = z.string().min(1).max(96);
const bytes = z.number().nonnegative();

const range = z.object({ first: count, count });
const place = { node: name, device: name };

const limits = z.object({
  tokens: count,
  sequences: count,
  waiting: count,
  context: count,
  pages: count,
  pageSize: count,
});

const kvDtype = z.enum(["f16", "f32", "int8"]);

const placement = z.object({
  id: name,
  family: name,
  level: name,
  model: text,
  limits,
  kvDtype: kvDtype.exactOptional(),
  host: z.object(place),
  partitions: z.array(z.object({ ...place, layers: range })).min(1).max(1024),
  shards: z.array(z.object({ ...place, experts: z.array(count) })).max(1024),
});

const where = { node: name.exactOptional(), device: name.exactOptional() };

const levelConfig = z.object({
  name,
  model: text,
  replicas: count.exactOptional(),
  partitions: z.union([count, z.array(z.object({ layers: count, ...where }))]),
  expertShards: z.union([count, z.array(z.object({ experts: z.array(count), ...where }))]),
  nodes: z.array(name).exactOptional(),
  device: name.exactOptional(),
  context: count.exactOptional(),
  kvCache: count.exactOptional(),
  kvDtype: kvDtype.exactOptional(),
});

const family = z.object({
  name,
  since: z.number(),
  bundled: z.boolean(),
  q: z.number(),
  levels: z.array(z.object({
    config: levelConfig,
    model: text,
    threshold: z.number().nullable(),
    used: z.boolean(),
  })).min(1).max(16),
  removed: z.literal(true).exactOptional(),
});

const facts = z.object({
  devices: z.array(z.object({
    name,
    kind: name,
    memory: bytes,
    speed: z.number().positive(),
  })),
  models: z.array(z.object({
    hash: text,
    layers: count,
    experts: count,
    weightBytes: bytes,
    expertBytes: bytes,
    tokenBytes: bytes,
    maxPositions: count,
  })),
  families: z.array(family),
  parts: z.array(z.object({
    address: text,
    replica: name,
    placement: placement.exactOptional(),
  })),
  revision: count,
  draining: z.boolean(),
  problems: z.array(text).max(64).exactOptional(),
  coming: z.array(text).max(1024).exactOptional(),
});

const hostOrder = z.object({
  epoch: count,
  placement,
  part: z.object({ kind: z.enum(["replica", "partition", "experts"]), index: count }),
  on: z.array(text).max(1024),
});

const unhostOrder = z.object({ epoch: count, replica: name, drain: z.boolean().exactOptional() });

/** Checks an order to host a part. */
export const checkHostOrder: Check<HostOrder> = checkBy(hostOrder);

/** Checks an order to stop the parts of a replica. */
export const checkUnhostOrder: Check<UnhostOrder> = checkBy(unhostOrder);

/** What a node announces of itself; `null` when it is nothing that this build understands. */
export function parseNodeFacts(value: unknown): NodeFacts | null {
  return facts.safeParse(value).data ?? null;
}
