import { type ActorDefinition, defineActor, reject } from "../../runtime/mod.ts";
import { checkDrainRequest } from "../checks/mod.ts";
import { deskKind, type DeskProtocol } from "../desk_protocol.ts";
import { type ClusterStatus, nodeAddress, type NodeProtocol } from "../node_protocol.ts";
import type { RefusalDetails } from "../protocol.ts";

/** What a desk knows. */
export interface DeskArgs {
  /** The cluster as the node sees it. */
  readonly status: () => ClusterStatus;
}

/** A node that takes longer to drain is left to itself. */
const DRAIN_MS = 24 * 60 * 60_000;

/** A node's desk: answers operators, and passes on what they order. Apart from the node's own actor, whose orders are the planner's. */
export const Desk: ActorDefinition<DeskProtocol, DeskArgs, DeskArgs> = defineActor({
  kind: deskKind,
  checks: { drain: checkDrainRequest },
  start: (_context, args) => args,
  receive: {
    status: ({ status }) => status(),
    drain({ status }, node, { system, log }) {
      if (!status().nodes.some((member) => member.node === node)) {
        const details: RefusalDetails = { status: 404, code: "node_not_found" };
        reject(`Cannot find the node: ${node}`, { details });
      }
      log.info("Drains a node", { node });
      system.ref<NodeProtocol>(nodeAddress(node)).ask("drain", undefined, { deadlineMs: DRAIN_MS })
        .then(
          () => log.info("Drained a node", { node }),
          ({ message: error }: Error) => log.warn("Cannot drain a node", { node, error }),
        );
    },
  },
});
