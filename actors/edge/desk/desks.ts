import { ActorError, type ActorRef } from "../../../runtime/mod.ts";
import { checkClusterStatus } from "../../checks/mod.ts";
import type { DeskProtocol } from "../../desk_protocol.ts";
import type { ClusterStatus } from "../../node_protocol.ts";
import { unavailable } from "../errors.ts";

/** Finds the desks of the cluster; empty while there is none. */
export type FindDesks = () => readonly ActorRef<DeskProtocol>[];

const deadlineMs = 3000;

/** Asks whatever desk answers. Its methods reject with `HttpError` or `ActorError`. */
export class Desks {
  readonly #find: FindDesks;

  constructor(find: FindDesks) {
    this.#find = find;
  }

  status(): Promise<ClusterStatus> {
    return this.#any(async (desk) => {
      const status = await desk.ask("status", undefined, { deadlineMs });
      checkClusterStatus(status);
      return status;
    });
  }

  drain(node: string): Promise<void> {
    return this.#any((desk) => desk.ask("drain", node, { deadlineMs }));
  }

  removeFamily(name: string): Promise<void> {
    return this.#any((desk) => desk.ask("removeFamily", name, { deadlineMs }));
  }

  /** Asks one desk after the other until one answers; a refusal is an answer. */
  async #any<T>(ask: (desk: ActorRef<DeskProtocol>) => Promise<T>): Promise<T> {
    let failure: unknown = unavailable("Cannot reach a node that knows the cluster");
    for (const desk of this.#find()) {
      try {
        return await ask(desk);
      } catch (error) {
        if (error instanceof ActorError && error.code === "AppError") throw error;
        failure = error;
      }
    }
    throw failure;
  }
}
