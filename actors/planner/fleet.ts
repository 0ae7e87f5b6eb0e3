import type { Member, MemberEvent, Membership } from "../../runtime/mod.ts";
import { parseNodeFacts } from "../checks/mod.ts";
import type { NodeFacts, ReplicaPlacement } from "../node_protocol.ts";
import { partsOf, placesOf } from "./parts.ts";

/** How long a node that is not there is waited for, unless it was seen to go. */
const PATIENCE_MS = 4000;

/** What a planner has brought up itself. */
interface Placed {
  readonly placement: ReplicaPlacement;
  /** The revisions from which on nodes announce its parts, in the lives in which they were brought up. */
  readonly revisions: Map<string, number>;
}

/**
 * What a planner knows of nodes and replicas, all of it from announcements and its own deeds: a successor
 * knows the same after a heartbeat.
 */
export class Fleet {
  readonly #membership: Membership;
  readonly #now: () => number;
  readonly #placed = new Map<string, Placed>();
  /** Nodes that were seen to go. */
  readonly #gone = new Set<string>();
  /** Announcements are read once, however often they are looked at. */
  readonly #facts = new WeakMap<Member, NodeFacts | null>();
  /** What planning depends on of each node, in short. */
  readonly #digests = new Map<string, string>();
  #waitUntil: number;

  /** `now` is in milliseconds of a monotonic clock. */
  constructor(membership: Membership, now: () => number) {
    this.#membership = membership;
    this.#now = now;
    this.#waitUntil = now() + PATIENCE_MS;
  }

  /**
   * Follows who comes and goes, and answers whether it matters to a plan. After this node itself was cut off,
   * the others may only seem gone.
   */
  note(event: MemberEvent): boolean {
    switch (event.type) {
      case "joined":
        this.#gone.delete(event.member.node);
        return true;
      case "left":
        this.#gone.add(event.node);
        this.#digests.delete(event.node);
        // If it is there again at once, it counts its revisions anew.
        for (const { revisions } of this.#placed.values()) revisions.delete(event.node);
        return true;
      case "changed":
        return this.#isNews(event.member);
      case "renewed":
        this.#gone.clear();
        this.#waitUntil = this.#now() + PATIENCE_MS;
        return true;
      default:
        return false;
    }
  }

  /** Nodes that are there, with what they announce. */
  get nodes(): Map<string, NodeFacts> {
    return new Map(this.#membership.members.flatMap((member) => {
      const facts = this.#factsOf(member);
      return facts ? [[member.node, facts] as const] : [];
    }));
  }

  /** Whether nodes that are missing may still come back. */
  get isSettling(): boolean {
    return this.#now() < this.#waitUntil;
  }

  /** Milliseconds until {@link isSettling} may have ended. */
  get settlesInMs(): number {
    return Math.max(0, this.#waitUntil - this.#now());
  }

  /** A replica runs, and the nodes announce so from these revisions on. */
  placed(placement: ReplicaPlacement, revisions: ReadonlyMap<string, number>): void {
    this.#placed.set(placement.id, { placement, revisions: new Map(revisions) });
  }

  /** A replica is being stopped. */
  dropped({ id }: ReplicaPlacement): void {
    this.#placed.delete(id);
  }

  /** Replicas that were brought up, by this planner or a former one, and whether all their parts are there. */
  replicas(
    nodes: ReadonlyMap<string, NodeFacts>,
  ): { placement: ReplicaPlacement; whole: boolean }[] {
    const announced = [...nodes.values()].flatMap(({ parts }) =>
      parts.flatMap(({ placement }) => placement ?? [])
    );
    const all = new Map(announced.map((placement) => [placement.id, placement]));
    for (const { placement } of this.#placed.values()) all.set(placement.id, placement);
    return [...all.values()].map((placement) => ({
      placement,
      whole: this.#isWhole(placement, nodes),
    }));
  }

  #isNews(member: Member): boolean {
    const facts = this.#factsOf(member);
    const digest = facts ? digestOf(facts) : "";
    const isNews = this.#digests.get(member.node) !== digest;
    this.#digests.set(member.node, digest);
    return isNews;
  }

  #factsOf(member: Member): NodeFacts | null {
    const known = this.#facts.get(member);
    if (known !== undefined) return known;
    const facts = factsOf(member);
    this.#facts.set(member, facts);
    return facts;
  }

  #isWhole(placement: ReplicaPlacement, nodes: ReadonlyMap<string, NodeFacts>): boolean {
    const revisions = this.#placed.get(placement.id)?.revisions;
    return partsOf(placement).every(({ place: { node }, address }) => {
      const facts = nodes.get(node);
      if (!facts) return this.isSettling && !this.#gone.has(node);
      if (facts.revision < (revisions?.get(node) ?? 0)) return true;
      return facts.parts.some((part) => part.address === address);
    });
  }
}

/** What a member announces, if this build understands it. */
export function factsOf({ facts }: Member): NodeFacts | null {
  return parseNodeFacts(facts);
}

function digestOf({ revision, draining, devices, models, families }: NodeFacts): string {
  const computes = devices.map(({ name, kind }) => [name, kind]);
  const known = families.map(({ name, since }) => [name, since]);
  return JSON.stringify([revision, draining, computes, models.length, known]);
}

/** The nodes that a replica lies on. */
export function nodesOf(placement: ReplicaPlacement): string[] {
  return [...new Set(placesOf(placement).map(({ node }) => node))];
}
