import type { Clock } from "../../clock.ts";
import { ActorError } from "../../errors.ts";
import type { Rng } from "../../rng.ts";
import { concat } from "../pieces.ts";
import type { Transport, TransportEvent } from "../transport.ts";

/** The faults of a network; each share is of packets, from 0 to 1. */
export interface MemoryNetworkOptions {
  /** The time in which packets travel. */
  readonly clock: Clock;
  /** What the faults follow from. */
  readonly rng: Rng;
  /** How long a packet takes: a number or a range; 0 by default. */
  readonly latencyMs?: number | readonly [least: number, most: number];
  /** Packets that never arrive. */
  readonly loss?: number;
  /** Packets that are sent twice. */
  readonly duplicate?: number;
  /** Packets that are held back so that later ones overtake them. */
  readonly reorder?: number;
  /** The most bytes of one publish; 1 MiB by default. */
  readonly maxPayload?: number;
}

/** A network inside one process. */
export interface MemoryNetwork {
  /** Joins under a name that `partition()` knows. */
  connect(name: string): Transport;
  /** Cuts the names off from all others, both ways. The answer heals it. */
  partition(...names: string[]): () => void;
  /** Takes the network from a member, which notices it. The answer gives it back. */
  disconnect(name: string): () => void;
  /** Packets so far. */
  readonly counts: Readonly<Record<"sent" | "lost" | "duplicated" | "reordered", number>>;
}

interface Member {
  readonly name: string;
  readonly subscriptions: Set<Subscription>;
  readonly watchers: Set<(event: TransportEvent) => void>;
  isDown: boolean;
  /** When the last packet to each other member arrives: what keeps order. */
  readonly arrivals: Map<string, number>;
}

interface Subscription {
  readonly pattern: readonly string[];
  readonly callback: (subject: string, bytes: Uint8Array) => void;
}

const heldBackMs = 20;

/** Makes a network whose faults follow from its generator, so that a run can be repeated. */
export function createMemoryNetwork(options: MemoryNetworkOptions): MemoryNetwork {
  const { clock, rng } = options;
  const members = new Set<Member>();
  const partitions = new Set<ReadonlySet<string>>();
  const counts = { sent: 0, lost: 0, duplicated: 0, reordered: 0 };
  const happens = (share = 0) => share > 0 && rng.next() < share;
  const areParted = (a: string, b: string) =>
    partitions.values().some((side) => side.has(a) !== side.has(b));

  const arrive = (from: Member, to: Member, subject: string, bytes: Uint8Array) => {
    if (areParted(from.name, to.name) || to.isDown) return void counts.lost++;
    for (const { pattern, callback } of [...to.subscriptions]) {
      if (matches(pattern, subject.split("."))) callback(subject, bytes.slice());
    }
  };
  const send = (from: Member, to: Member, subject: string, bytes: Uint8Array) => {
    if (areParted(from.name, to.name) || happens(options.loss)) return void counts.lost++;
    const straight = clock.now() + latency(options.latencyMs, rng);
    const ordered = Math.max(straight, from.arrivals.get(to.name) ?? 0);
    const late = happens(options.reorder);
    if (late) counts.reordered++;
    else from.arrivals.set(to.name, ordered);
    const wait = ordered - clock.now() + (late ? rng.next() * heldBackMs : 0);
    const deliver = () => arrive(from, to, subject, bytes);
    if (wait > 0) clock.setTimer(wait, deliver);
    else queueMicrotask(deliver);
  };
  const isHeard = (subject: string) =>
    members.values().some((member) =>
      !member.isDown &&
      member.subscriptions.values().some(({ pattern }) => matches(pattern, subject.split(".")))
    );
  const probe = (from: Member, subject: string, token: string) => {
    if (isHeard(subject)) return;
    clock.setTimer(latency(options.latencyMs, rng), () => {
      if (!from.isDown) tell(from, { type: "unheard", token });
    });
  };
  const publish = (from: Member, subject: string, bytes: Uint8Array) => {
    for (const to of members) {
      if (!to.subscriptions.values().some(({ pattern }) => matches(pattern, subject.split(".")))) {
        continue;
      }
      counts.sent++;
      send(from, to, subject, bytes);
      if (!happens(options.duplicate)) continue;
      counts.duplicated++;
      send(from, to, subject, bytes);
    }
  };
  return {
    counts,
    partition(...names) {
      const side = new Set(names);
      partitions.add(side);
      return () => partitions.delete(side);
    },
    disconnect(name) {
      const down = [...members].filter((member) => member.name === name);
      for (const member of down) setDown(member, true);
      return () => down.forEach((member) => setDown(member, false));
    },
    connect(name) {
      const member: Member = {
        name,
        subscriptions: new Set(),
        watchers: new Set(),
        isDown: false,
        arrivals: new Map(),
      };
      members.add(member);
      return transportOf(member, options.maxPayload ?? 2 ** 20, publish, probe, () => {
        members.delete(member);
      });
    },
  };
}

function setDown(member: Member, isDown: boolean): void {
  if (member.isDown === isDown) return;
  member.isDown = isDown;
  const event: TransportEvent = isDown ? { type: "down", why: "cable was pulled" } : { type: "up" };
  tell(member, event);
}

function tell(member: Member, event: TransportEvent): void {
  for (const watcher of [...member.watchers]) watcher(event);
}

function transportOf(
  member: Member,
  maxPayload: number,
  publish: (from: Member, subject: string, bytes: Uint8Array) => void,
  probe: (from: Member, subject: string, token: string) => void,
  leave: () => void,
): Transport {
  const closing = Promise.withResolvers<void>();
  let open = true;
  const send = (subject: string, pieces: readonly Uint8Array[]) => {
    const bytes = concat(pieces).slice();
    if (!open) throw new ActorError("NoRoute", "Transport is closed");
    if (member.isDown) throw new ActorError("NoRoute", "Transport is down");
    if (bytes.byteLength > maxPayload) {
      throw new ActorError("TooLarge", `Payload exceeds ${maxPayload}: ${bytes.byteLength}`);
    }
    publish(member, subject, bytes);
  };
  return {
    maxPayload,
    closed: closing.promise,
    publish: (subject, ...pieces) => send(subject, pieces),
    probe(subject, token, ...pieces) {
      send(subject, pieces);
      probe(member, subject, token);
    },
    subscribe(pattern, callback) {
      const subscription = { pattern: pattern.split("."), callback };
      member.subscriptions.add(subscription);
      return () => member.subscriptions.delete(subscription);
    },
    watch(callback) {
      member.watchers.add(callback);
      return () => member.watchers.delete(callback);
    },
    flush: () => Promise.resolve(),
    close() {
      open = false;
      member.subscriptions.clear();
      leave();
      closing.resolve();
      return closing.promise;
    },
  };
}

function latency(range: MemoryNetworkOptions["latencyMs"] = 0, rng: Rng): number {
  if (typeof range === "number") return range;
  return range[0] + rng.next() * (range[1] - range[0]);
}

function matches(pattern: readonly string[], subject: readonly string[]): boolean {
  for (const [at, token] of pattern.entries()) {
    if (token === ">") return subject.length > at;
    if (at >= subject.length || (token !== "*" && token !== subject[at])) return false;
  }
  return pattern.length === subject.length;
}
