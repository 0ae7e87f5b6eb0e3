/** The closed family of messages to desks: what operators may ask of a cluster. All are plain data. */
import type { ClusterStatus } from "./node_protocol.ts";

/** The desk of a node that may be asked about the whole cluster. */
export interface DeskProtocol {
  /** The cluster as its node sees it. */
  status(): ClusterStatus;
  /**
   * Begins to move all work away from a node, and answers at once: the node's status says when nothing is left.
   * Refuses with {@link RefusalDetails} a node that is no member.
   */
  drain(node: string): void;
  /**
   * Serves a family no more, until a node that has it in its configuration starts anew; what is being answered
   * ends. Refuses with {@link RefusalDetails} a name that is not served.
   */
  removeFamily(name: string): void;
}

/** The kind of desks, and the name under which they are offered to the cluster. */
export const deskKind = "desk";
