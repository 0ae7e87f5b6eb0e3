/** Clusters of systems without models, on a fake clock and a network in memory. */
import {
  type Clock,
  createMemoryNetwork,
  createMemoryStore,
  createSystem,
  type Description,
  FakeClock,
  type MemberEvent,
  Membership,
  type MembershipOptions,
  type MemoryNetworkOptions,
  type ProtocolRange,
  seededRng,
  type System,
  type Transport,
} from "../../../runtime/mod.ts";
import { silent } from "../support/lanes.ts";

/** A node of a test cluster. */
export interface TestNode {
  readonly system: System;
  readonly membership: Membership;
  /** Everything that happened, as `type:node`. */
  readonly events: string[];
  /** Names of the members it sees, itself included, sorted. */
  readonly sees: () => string;
  /** Its announcements reach nobody while it is mute; all else does. */
  readonly mute: (isMute: boolean) => void;
  /** Lets its process miss some time, as one that was paused. */
  readonly standStill: (ms: number) => void;
}

/** What differs from the defaults of a node. */
export interface TestNodeOptions extends Partial<Pick<MembershipOptions, "quarantine">> {
  readonly protocol?: ProtocolRange;
  readonly version?: string;
  readonly describe?: () => Description;
}

/** Opens a cluster; `await using` closes it. */
export function openCluster(faults: Partial<MemoryNetworkOptions> = {}) {
  const clock = new FakeClock();
  const rng = seededRng(7);
  const network = createMemoryNetwork({ clock, rng, ...faults });
  const store = createMemoryStore();
  const nodes: TestNode[] = [];
  const join = (node: string, options: TestNodeOptions = {}): TestNode => {
    const connected = network.connect(node);
    let muted = false;
    const transport: Transport = {
      ...connected,
      publish(subject, bytes) {
        if (!muted || !subject.startsWith("tandem-cluster.")) connected.publish(subject, bytes);
      },
    };
    let missedMs = 0;
    const own: Clock = {
      now: () => clock.now() + missedMs,
      monotonic: () => clock.monotonic() + missedMs,
      setTimer: (ms, callback) => clock.setTimer(ms, callback),
    };
    const system = createSystem({
      node,
      clock: own,
      rng,
      transport,
      store,
      log: silent,
      graceMs: 0,
    });
    const membership = new Membership({
      system,
      transport,
      version: "1.0.0",
      protocol: { least: 1, most: 1 },
      describe: () => ({ offers: [] }),
      ...options,
    });
    const events: string[] = [];
    membership.on((event) => {
      if (event.type !== "changed") events.push(`${event.type}:${nameOf(event)}`);
    });
    const sees = () => membership.members.map((member) => member.node).sort().join("");
    const joined = {
      system,
      membership,
      events,
      sees,
      mute: (isMute: boolean) => void (muted = isMute),
      standStill: (ms: number) => void (missedMs += ms),
    };
    nodes.push(joined);
    return joined;
  };
  const close = async () => {
    for (const { membership } of nodes) membership.close();
    const closing = nodes.map(({ system }) => system.shutdown());
    await clock.advance(60_000);
    await Promise.all(closing);
  };
  return { clock, network, store, join, [Symbol.asyncDispose]: close };
}

function nameOf(event: MemberEvent): string {
  if ("member" in event) return event.member.node;
  return "node" in event ? event.node : "";
}
