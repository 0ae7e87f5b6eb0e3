import { type ActorDefinition, defineActor, reject } from "../../runtime/mod.ts";
import { checkName } from "../checks/mod.ts";
import { deskKind, type DeskProtocol } from "../desk_protocol.ts";
import { type ClusterStatus, nodeAddress, type NodeProtocol } from "../node_protocol.ts";
import type { RefusalDetails } from "../protocol.ts";

/** What a desk knows. */
export interface DeskArgs {
  /** The cluster as the node sees it. */
  readonly status: () => ClusterStatus;
  /** Ends a family; false when there is none of the name. */
  readonly removeFamily: (name: string) => boolean;
}

/** A node that takes longer to drain is left to itself. */
const DRAIN_MS = 24 * 60 * 60_000;

/** A node's desk: answers operators, and passes on what they order. Apart from the node's own actor, whose orders are the planner's. */
export const Desk: ActorDefinition<DeskProtocol, DeskArgs, DeskArgs> = defineActor({
  kind: deskKind,
  checks: { drain: checkName, removeFamily: checkName },
  start: (_context, args) => args,
  receive: {
    status: ({ status }) => status(),
    drain({ status }, node, { system, log }) {
      if (!status().nodes.some((member) => member.node === node)) {
        refuse("node", node);
      }
      log.info("Drains a node", { node });
      system.ref<NodeProtocol>(nodeAddress(node)).ask("drain", undefined, { deadlineMs: DRAIN_MS })
        .then(
          () => log.info("Drained a node", { node }),
          ({ message: error }: Error) => log.warn("Cannot drain a node", { node, error }),
        );
    },
    removeFamily({ removeFamily }, family, { log }) {
      if (!removeFamily(family)) refuse("family", family);
      log.info("Removed a family", { family });
    },
  },
});

function refuse(what: "node" | "family", name: string): never {
  const details: RefusalDetails = { status: 404, code: `${what}_not_found` };
  return reject(`Cannot find the ${what}: ${name}`, { details });
}
