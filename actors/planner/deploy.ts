/** Brings replicas up and down by orders to their nodes. */
import type { System } from "../../runtime/mod.ts";
import {
  type HostedPart,
  nodeAddress,
  type NodeProtocol,
  type ReplicaPlacement,
  type UnhostOrder,
} from "../node_protocol.ts";
import { nodesOf } from "./fleet.ts";
import { type Part, partsOf, standsOn } from "./parts.ts";

/** How long loading one part may take. */
const LOAD_DEADLINE_MS = 30 * 60_000;

/** How long stopping a replica's parts may take. */
const STOP_DEADLINE_MS = 30_000;

/**
 * Brings up all parts of a replica: kind by kind, since each stands on the one before; the nodes at the same
 * time, and on one node one after another, since loading is bound by its disk. Answers the revisions from which
 * on the nodes announce them. Stops what it began and rejects when one fails.
 */
export async function bringUp(
  system: System,
  epoch: number,
  placement: ReplicaPlacement,
): Promise<Map<string, number>> {
  const revisions = new Map<string, number>();
  const host = async ({ name, place, address }: Part) => {
    const on = standsOn(placement, name);
    const order = { epoch, placement, part: name, on };
    const hosted: HostedPart = await nodeOf(system, place.node)
      .ask("host", order, { deadlineMs: LOAD_DEADLINE_MS });
    if (hosted.address !== address) {
      throw new Error(`Cannot use another address: ${hosted.address}`);
    }
    revisions.set(place.node, Math.max(revisions.get(place.node) ?? 0, hosted.revision));
  };
  try {
    for (const kind of ["experts", "partition", "replica"] as const) {
      const parts = partsOf(placement).filter(({ name }) => name.kind === kind);
      const byNode = Map.groupBy(parts, ({ place }) => place.node);
      await settleAll([...byNode.values()].map((parts) => inOrder(parts, host)));
    }
    return revisions;
  } catch (error) {
    // Nobody waits for it: a node that is out of reach would hold up a new attempt elsewhere.
    void bringDown(system, epoch, placement);
    throw error;
  }
}

/** Stops a replica that runs: first itself, once it has handed over what it is at, then what it stands on. */
export async function retireReplica(
  system: System,
  epoch: number,
  placement: ReplicaPlacement,
): Promise<void> {
  const order = { epoch, replica: placement.id, drain: true };
  await unhost(system, placement.host.node, order);
  await bringDown(system, epoch, placement);
}

/** Stops all parts of a replica, as far as their nodes can be reached. */
export async function bringDown(
  system: System,
  epoch: number,
  placement: ReplicaPlacement,
): Promise<void> {
  const order = { epoch, replica: placement.id };
  await Promise.all(nodesOf(placement).map((node) => unhost(system, node, order)));
}

/** Stops what a node hosts of a replica, if it can be reached: what is out of reach is gone, or found later. */
export async function unhost(system: System, node: string, order: UnhostOrder): Promise<void> {
  await nodeOf(system, node).ask("unhost", order, { deadlineMs: STOP_DEADLINE_MS })
    .catch(({ message: error }: Error) => {
      const { replica } = order;
      system.log.debug("Cannot stop parts of a replica", { node, replica, error });
    });
}

function nodeOf(system: System, node: string) {
  return system.ref<NodeProtocol>(nodeAddress(node));
}

async function inOrder<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  for (const item of items) await work(item);
}

/** Waits for all, so that nothing goes on behind a failure; then rejects with the first. */
async function settleAll(work: readonly Promise<void>[]): Promise<void> {
  const results = await Promise.allSettled(work);
  const failed = results.find((result) => result.status === "rejected");
  if (failed) throw failed.reason;
}
