import {
  type ActorDefinition,
  ActorError,
  type Context,
  defineActor,
  sleep,
  type System,
} from "../../runtime/mod.ts";
import { checkHostOrder, checkUnhostOrder } from "../checks/mod.ts";
import type { ClusterStatus, HostedPart, HostOrder, NodeProtocol } from "../node_protocol.ts";
import type { ReplicaProtocol } from "../replica_protocol.ts";
import type { Hosting } from "./hosting.ts";
import { type PartSources, spawnPart } from "./spawn_part.ts";

/** What a node's actor works on. */
export interface NodeArgs extends PartSources {
  /** What it hosts. */
  readonly hosting: Hosting;
  /** What it knows of the cluster. */
  readonly status: () => ClusterStatus;
}

/** How often a draining node looks whether its parts are gone. */
const LOOK_MS = 50;

/** How long a replica may take to hand over what it is at: it ends every request after its next token. */
const HAND_OVER_MS = 15_000;

/** The actor of a node: hosts parts of replicas as the planner orders. */
export const Node: ActorDefinition<NodeProtocol, NodeArgs, NodeArgs> = defineActor<
  NodeProtocol,
  NodeArgs,
  NodeArgs
>({
  kind: "node",
  concurrent: ["host", "unhost", "drain"],
  checks: { host: checkHostOrder, unhost: checkUnhostOrder },
  start: (_context, args) => args,
  receive: {
    host,
    async unhost({ hosting }, { epoch, replica, drain }, { system }) {
      hosting.fence.admit(epoch);
      const parts = hosting.parts.filter((part) => part.replica === replica);
      // What stands on others goes first.
      for (const { address, placement } of parts.reverse()) {
        hosting.retire(address);
        if (drain && placement) await drainReplica(system, address);
        await system.stop({ address });
        hosting.remove(address);
      }
    },
    async drain({ hosting }, _message, { clock, signal }) {
      hosting.drain();
      while (hosting.parts.length > 0) await sleep(clock, LOOK_MS, signal);
    },
    status: ({ status }) => status(),
  },
});

/** Lets a replica hand over what it is at; if it cannot, its requests go on elsewhere all the same. */
async function drainReplica(system: System, address: string): Promise<void> {
  await system.ref<ReplicaProtocol>(address)
    .ask("drain", undefined, { deadlineMs: HAND_OVER_MS })
    .catch(({ message: error }: Error) => {
      system.log.debug("Cannot drain a replica", { replica: address, error });
    });
}

async function host(
  { hosting, ...sources }: NodeArgs,
  order: HostOrder,
  context: Context<NodeProtocol>,
): Promise<HostedPart> {
  const { placement, part, epoch } = order;
  hosting.fence.admit(epoch);
  if (hosting.draining) {
    throw new ActorError("Denied", `Cannot host on a node that is draining: ${placement.id}`);
  }
  const ref = await spawnPart(context.system, sources, order);
  const { address } = ref;
  if (epoch < hosting.fence.epoch) {
    await context.system.stop(ref);
    hosting.fence.admit(epoch);
  }
  hosting.add({
    address,
    replica: placement.id,
    ...(part.kind === "replica" && { placement }),
  });
  context.watch(ref, () => hosting.remove(address));
  return { address, revision: hosting.revision };
}
