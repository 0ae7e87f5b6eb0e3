import { z } from "zod";
import type { ClusterStatus, NodeStatus } from "../node_protocol.ts";
import { type Check, checkAnswerBy, checkBy, count } from "./check.ts";
import { parseNodeFacts } from "./node.ts";

const name = z.string().min(1).max(160);

const status = z.object({
  node: name,
  leader: name.nullable(),
  epoch: count,
  nodes: z.array(z.custom<NodeStatus>(isNodeStatus, { error: "must be a node" })).max(1024),
  refused: z.record(name, z.string().max(4096)),
});

function isNodeStatus(value: unknown): boolean {
  const { node, version } = Object(value) as Record<string, unknown>;
  return name.safeParse(node).success && typeof version === "string" &&
    parseNodeFacts(value) !== null;
}

/** Checks what a desk tells of its cluster. */
export const checkClusterStatus: Check<ClusterStatus> = checkAnswerBy(status);

/** Checks which node or family a desk is asked about. */
export const checkName: Check<string> = checkBy(name);
