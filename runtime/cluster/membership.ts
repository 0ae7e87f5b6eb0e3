import type { System } from "../actor.ts";
import { toActorError } from "../errors.ts";
import { nodeTokens, type Transport } from "../transport/mod.ts";
import {
  type Announcement,
  decodeAnnouncement,
  encodeAnnouncement,
  isEarlier,
  lifeOf,
  type Offer,
  overlap,
  type ProtocolRange,
} from "./announcement.ts";
import { Quarantine, type QuarantineLimits } from "./quarantine.ts";

/** What a node tells of itself besides its name. */
export interface Description {
  /** The actors that it offers. */
  readonly offers: readonly Offer[];
  /** Anything else that others must know. Plain data. */
  readonly facts?: unknown;
}

/** A node of the cluster, as it last announced itself. */
export interface Member extends Description {
  /** Its name. */
  readonly node: string;
  /** When its process started, in milliseconds since the epoch with a random fraction. */
  readonly incarnation: number;
  /** Its build. */
  readonly version: string;
  /** The protocols that it speaks. */
  readonly protocol: ProtocolRange;
}

/** What happened to the membership, as this node sees it. */
export type MemberEvent =
  /** A node and this one hear each other. */
  | { readonly type: "joined"; readonly member: Member }
  /** A member, this node included, announced itself anew. */
  | { readonly type: "changed"; readonly member: Member }
  /** A member is gone; all that waited for it has failed. */
  | {
    readonly type: "left";
    readonly node: string;
    readonly why: string;
    readonly onPurpose: boolean;
  }
  /** A node is heard but kept out: another protocol, or it came and went too often. */
  | { readonly type: "refused"; readonly node: string; readonly why: string }
  /** This node began a new life: it was cut off, and all others have left it. */
  | { readonly type: "renewed"; readonly why: string }
  /** A later process has taken this node's name: this one must end. */
  | { readonly type: "replaced"; readonly why: string };

/** How a node takes part. */
export interface MembershipOptions {
  /** The node's system: its clock, log, and who is told of lost nodes. */
  readonly system: System;
  /** The way to the others; absent = this node is alone. */
  readonly transport?: Transport;
  /** The build, for people. */
  readonly version: string;
  /** The protocols that it speaks. */
  readonly protocol: ProtocolRange;
  /** What to announce; called for each announcement. */
  readonly describe: () => Description;
  /** Milliseconds between announcements; 500 by default. */
  readonly heartbeatMs?: number;
  /** A node that is silent for longer is gone; 2,500 ms by default. */
  readonly deadMs?: number;
  /** When a flapping node is kept out; after 10 losses within 60 s, for 30 s, by default. */
  readonly quarantine?: QuarantineLimits;
}

/** A node that is heard, or that said goodbye a moment ago. */
interface Peer {
  announcement: Announcement;
  /** The announcement as others see it: the same object until the next one. */
  member: Member;
  heardAt: number;
  state: "heard" | "member" | "gone";
}

const subjectPrefix = "tandem-cluster.";

/** Nodes that are listened to at most: names cost memory, and anybody may make them up. */
const maxPeers = 1024;

const defaultQuarantine: QuarantineLimits = { losses: 10, withinMs: 60_000, forMs: 30_000 };

/**
 * Who is in the cluster, by heartbeats. Two nodes are members to each other while each hears the other's
 * current life: so both sides end what they do for each other, whichever lost the other first. A node that was
 * cut off begins a new life by itself; what it did before is void.
 */
export class Membership {
  readonly #options: MembershipOptions;
  readonly #heartbeatMs: number;
  readonly #deadMs: number;
  readonly #incarnation: number;
  readonly #peers = new Map<string, Peer>();
  readonly #refused = new Map<string, { readonly why: string; readonly heardAt: number }>();
  readonly #quarantine: Quarantine;
  readonly #listeners = new Set<(event: MemberEvent) => void>();
  readonly #leave: readonly (() => void)[];
  #self: Member;
  #life = 0;
  #beat = 0;
  #cancelTick: () => void = () => {};
  #closed = false;

  /** Joins: announces this node at once, and every `heartbeatMs` from then on. */
  constructor(options: MembershipOptions) {
    this.#options = options;
    this.#heartbeatMs = options.heartbeatMs ?? 500;
    this.#deadMs = options.deadMs ?? 2500;
    this.#quarantine = new Quarantine(options.quarantine ?? defaultQuarantine);
    const { clock, rng } = options.system;
    this.#incarnation = clock.now() + rng.next();
    this.#self = this.#describe();
    this.#leave = this.#attend(options.transport);
    this.announce();
    this.#scheduleTick();
  }

  /** This node's name. */
  get node(): string {
    return this.#options.system.node;
  }

  /** The members, this node first. */
  get members(): Member[] {
    const others = this.#peers.values().filter(({ state }) => state === "member");
    return [this.#self, ...others.map(({ member }) => member)];
  }

  /** A member by its name; undefined when there is none. */
  member(node: string): Member | undefined {
    if (node === this.node) return this.#self;
    const peer = this.#peers.get(node);
    return peer?.state === "member" ? peer.member : undefined;
  }

  /** Nodes that are heard but kept out, with the reason. */
  get refused(): ReadonlyMap<string, string> {
    return new Map(this.#refused.entries().map(([node, { why }]) => [node, why]));
  }

  /** Calls back with each event from now on. The answer ends that. */
  on(listener: (event: MemberEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Announces this node now: call it when what `describe` answers has changed. */
  announce(): void {
    if (this.#closed) return;
    this.#self = this.#describe();
    this.#publish();
    this.#emit({ type: "changed", member: this.#self });
  }

  /**
   * Begins a new life, since messages may have been lost. All members are lost and join again; what waits for
   * them fails at once. A transport that loses its network does it by itself.
   */
  renew(why: string): void {
    if (this.#closed) return;
    this.#life++;
    for (const node of [...this.#peers.keys()]) {
      this.#lose(node, `this node ${why}`, { mine: true });
    }
    this.#peers.clear();
    this.#emit({ type: "renewed", why });
    this.announce();
  }

  /** Says goodbye, and takes part no more. */
  leave(): void {
    if (this.#closed) return;
    this.#publish({ leaving: true });
    this.close();
  }

  /** Takes part no more without a goodbye: others notice after a while. */
  close(): void {
    this.#closed = true;
    this.#cancelTick();
    for (const leave of this.#leave) leave();
    this.#listeners.clear();
  }

  // Outwards.

  #publish(more: { readonly leaving?: true } = {}): void {
    const { system, transport } = this.#options;
    if (!transport) return;
    const hears = this.#hears();
    const announcement: Announcement = {
      ...this.#self,
      life: this.#life,
      beat: this.#beat++,
      hears,
      ...more,
    };
    try {
      transport.publish(subjectOf(this.node), encodeAnnouncement(announcement));
    } catch (thrown) {
      // While the transport is down, silence says it all; the next heartbeat tries again.
      const { code, message } = toActorError(thrown);
      system.log[code === "NoRoute" ? "debug" : "error"]("Cannot announce this node", { message });
    }
  }

  #hears(): Record<string, string> {
    const heard = this.#peers.entries().filter(([, { state }]) => state !== "gone");
    return Object.fromEntries(
      heard.map(([node, { announcement }]) => [node, lifeOf(announcement)]),
    );
  }

  #describe(): Member {
    const { version, protocol, describe } = this.#options;
    return { node: this.node, incarnation: this.#incarnation, version, protocol, ...describe() };
  }

  #emit(event: MemberEvent): void {
    for (const listener of [...this.#listeners]) listener(event);
  }

  // Inwards.

  #attend(transport: Transport | undefined): (() => void)[] {
    if (!transport) return [];
    return [
      transport.subscribe(`${subjectPrefix}*.*`, (subject, bytes) => this.#receive(subject, bytes)),
      transport.watch(({ type }) => {
        if (type === "down" || type === "up") this.renew("was cut off");
      }),
    ];
  }

  #receive(subject: string, bytes: Uint8Array): void {
    const announcement = decodeAnnouncement(bytes);
    if (!announcement || subject !== subjectOf(announcement.node)) {
      const { deadLetters } = this.#options.system;
      return deadLetters.add({ to: subject, method: "announcement", reason: "Malformed" });
    }
    const { node } = announcement;
    if (node === this.node) return this.#meetNamesake(announcement);
    const known = this.#peers.get(node);
    if (known && isEarlier(announcement, known.announcement)) return;
    if (known && lifeOf(known.announcement) !== lifeOf(announcement)) {
      this.#lose(node, "it began a new life");
    }
    const why = this.#reasonToRefuse(announcement);
    if (why !== null) return this.#refuse(node, why);
    this.#refused.delete(node);
    if (announcement.leaving) this.#bid(announcement);
    else this.#hear(announcement);
  }

  /** Notes that a node is heard, and that it is a member if it hears this one. */
  #hear(announcement: Announcement): void {
    const { node } = announcement;
    const known = this.#peers.get(node);
    if (!known && this.#peers.size >= maxPeers) return;
    const member = memberOf(announcement);
    const peer = known ?? { announcement, member, heardAt: 0, state: "heard" };
    const isNew = lifeOf(peer.announcement) !== lifeOf(announcement) || !known;
    peer.announcement = announcement;
    peer.member = member;
    peer.heardAt = this.#now;
    if (peer.state === "gone") peer.state = "heard";
    this.#peers.set(node, peer);
    const hearsThis = announcement.hears[this.node] === `${this.#incarnation}:${this.#life}`;
    if (peer.state === "member") {
      if (hearsThis) this.#emit({ type: "changed", member });
      else this.#lose(node, "it no longer hears this node");
    } else if (hearsThis) {
      peer.state = "member";
      this.#emit({ type: "joined", member });
    }
    if (isNew) this.announce();
  }

  #bid(announcement: Announcement): void {
    const peer = this.#peers.get(announcement.node);
    if (!peer) return;
    this.#lose(announcement.node, "it left", { onPurpose: true });
    peer.announcement = announcement;
    peer.state = "gone";
  }

  #meetNamesake({ incarnation }: Announcement): void {
    if (incarnation <= this.#incarnation) return;
    const why = `another process has joined as ${this.node}`;
    this.#emit({ type: "replaced", why });
    this.close();
  }

  #reasonToRefuse({ node, version, protocol }: Announcement): string | null {
    const own = this.#options.protocol;
    if (!overlap(protocol, own)) {
      const [theirs, ours] = [protocol, own].map(({ least, most }) => `${least} to ${most}`);
      return `it speaks protocols ${theirs} (version ${version}), this node ${ours} ` +
        `(version ${this.#options.version})`;
    }
    if (this.#quarantine.holds(node, this.#now)) return "it came and went too often";
    return null;
  }

  #refuse(node: string, why: string): void {
    this.#lose(node, why);
    this.#peers.delete(node);
    const known = this.#refused.get(node);
    if (!known && this.#refused.size >= maxPeers) return;
    this.#refused.set(node, { why, heardAt: this.#now });
    if (known?.why === why) return;
    this.#options.system.log.warn("Refused a node", { node, why });
    this.#emit({ type: "refused", node, why });
  }

  /**
   * Ends membership, if there is one: all that waits for the node or is done for it fails. It counts as flapping
   * unless the node meant it, or this node is to blame.
   */
  #lose(node: string, why: string, { onPurpose = false, mine = false } = {}): void {
    const peer = this.#peers.get(node);
    if (peer?.state !== "member") return;
    peer.state = "heard";
    const { system } = this.#options;
    system.nodeDown(node, why);
    system.log.info("Lost a node", { node, why });
    this.#emit({ type: "left", node, why, onPurpose });
    if (!onPurpose && !mine && this.#quarantine.note(node, this.#now)) {
      this.#refuse(node, "it came and went too often");
    }
  }

  // Time.

  get #now(): number {
    return this.#options.system.clock.monotonic();
  }

  #scheduleTick(): void {
    const due = this.#now + this.#heartbeatMs;
    this.#cancelTick = this.#options.system.clock.setTimer(this.#heartbeatMs, () => {
      this.#tick(this.#now - due);
      if (!this.#closed) this.#scheduleTick();
    });
  }

  /**
   * A tick that comes late says that this node stood still: then silence is not the others' fault. Whoever lost
   * it meanwhile says so with the next announcement.
   */
  #tick(lateMs: number): void {
    const forgiven = lateMs > this.#heartbeatMs ? lateMs : 0;
    for (const [node, peer] of [...this.#peers]) {
      peer.heardAt += forgiven;
      if (this.#now - peer.heardAt <= this.#deadMs) continue;
      this.#lose(node, `it was silent for ${this.#deadMs} ms`);
      this.#peers.delete(node);
    }
    for (const [node, { heardAt }] of [...this.#refused]) {
      if (this.#now - heardAt > this.#deadMs) this.#refused.delete(node);
    }
    this.announce();
  }
}

/** What a node announces itself under: nobody else should be let publish there. */
function subjectOf(node: string): string {
  return `${subjectPrefix}${nodeTokens(node)}`;
}

function memberOf(announcement: Announcement): Member {
  const { node, incarnation, version, protocol, offers, facts } = announcement;
  return { node, incarnation, version, protocol, offers, ...(facts !== undefined && { facts }) };
}
