/** Watches a cluster without taking part in its work: by what its nodes announce. */
import { factsOf, type NodeFacts, protocolRange, type ReplicaPlacement } from "../actors/mod.ts";
import {
  connectNats,
  createLogger,
  createSystem,
  Membership,
  type System,
} from "../runtime/mod.ts";

/** A member of a cluster that only looks. */
export class Observer implements AsyncDisposable {
  /** What it sends and receives by. */
  readonly system: System;
  /** The nodes as it sees them. */
  readonly membership: Membership;

  private constructor(system: System, membership: Membership) {
    this.system = system;
    this.membership = membership;
  }

  /** Joins a cluster. */
  static async join(nats: string): Promise<Observer> {
    const node = "observer";
    const transport = await connectNats({ servers: [nats], name: node });
    const log = createLogger({ level: "silent" });
    const system = createSystem({ node, transport, log });
    const membership = new Membership({
      ...{ system, transport, version: "0", protocol: protocolRange },
      describe: () => ({ offers: [] }),
    });
    return new Observer(system, membership);
  }

  /** What the nodes announce, by their names. */
  get nodes(): Map<string, NodeFacts> {
    return new Map(this.membership.members.flatMap((member) => {
      const facts = factsOf(member);
      return facts ? [[member.node, facts]] : [];
    }));
  }

  /** The replicas that are up, and all of whose nodes are there. */
  get replicas(): ReplicaPlacement[] {
    const nodes = this.nodes;
    return [...nodes.values()].flatMap(({ parts }) =>
      parts.flatMap(({ placement }) => placement ?? [])
    )
      .filter(({ partitions, shards }) =>
        [...partitions, ...shards].every(({ node }) => nodes.has(node))
      );
  }

  /** The node whose planner decides. */
  get leader(): string | undefined {
    return this.membership.members.find(({ offers }) =>
      offers.some(({ name }) => name === "planner")
    )?.node;
  }

  /** Waits until something is so. Rejects after `withinMs`. */
  async until(what: string, condition: () => boolean, withinMs = 60_000): Promise<void> {
    const end = performance.now() + withinMs;
    while (!condition()) {
      if (performance.now() > end) {
        const members = this.membership.members.map(({ node }) => node).join();
        const replicas = JSON.stringify(this.replicas);
        throw new Error(`Cannot see that ${what}, members ${members}, replicas: ${replicas}`);
      }
      await new Promise((next) => setTimeout(next, 20));
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.membership.leave();
    await this.system.shutdown();
  }
}
