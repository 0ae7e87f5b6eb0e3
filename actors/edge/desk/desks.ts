import type { ActorRef } from "../../../runtime/mod.ts";
import { checkClusterStatus } from "../../checks/mod.ts";
import type { DeskProtocol } from "../../desk_protocol.ts";
import type { ClusterStatus } from "../../node_protocol.ts";
import { unavailable } from "../errors.ts";

/** Finds a desk of the cluster; undefined while there is none. */
export type FindDesk = () => ActorRef<DeskProtocol> | undefined;

const deadlineMs = 3000;

/** Asks whatever desk is there. Its methods reject with `HttpError` or `ActorError`. */
export class Desks {
  readonly #find: FindDesk;

  constructor(find: FindDesk) {
    this.#find = find;
  }

  async status(): Promise<ClusterStatus> {
    const status = await this.#desk().ask("status", undefined, { deadlineMs });
    checkClusterStatus(status);
    return status;
  }

  async drain(node: string): Promise<void> {
    await this.#desk().ask("drain", node, { deadlineMs });
  }

  #desk(): ActorRef<DeskProtocol> {
    const desk = this.#find();
    if (desk) return desk;
    throw unavailable("Cannot reach a node that knows the cluster");
  }
}
