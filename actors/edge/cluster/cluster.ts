import {
  type ActorRef,
  type Clock,
  createSystem,
  type Logger,
  Membership,
  type Metrics,
  observeSystem,
  observeTransport,
  type ProtocolRange,
  type Rng,
  sleep,
  type System,
  type Tracer,
  type Transport,
} from "../../../runtime/mod.ts";
import type { DeskProtocol } from "../../desk_protocol.ts";
import type { RouterProtocol } from "../../protocol.ts";
import type { RouterDirectory } from "../routers.ts";
import { memberDesks, memberRouters } from "./members.ts";

/** How an edge takes part in a cluster. */
export interface ClusterOptions {
  /** Its name. */
  readonly node: string;
  /** Connects to the others; called at the first need, and again when that failed. */
  readonly connect: () => Promise<Transport>;
  readonly clock: Clock;
  readonly rng: Rng;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly tracer?: Tracer;
  /** The build, for people. */
  readonly version: string;
  /** The protocols that it speaks. */
  readonly protocol: ProtocolRange;
}

interface Joined {
  /** Milliseconds since the epoch. */
  readonly since: number;
  readonly system: System;
  readonly membership: Membership;
  readonly transport: Transport;
  readonly routers: RouterDirectory;
}

/** How long after joining requests wait for a first family to show up. */
const FIRST_FAMILY_MS = 2000;
const LOOK_MS = 20;

/** How soon after a failure connecting is tried again. */
const RETRY_MS = 1000;

/** The cluster as an edge sees it, joined when it is first needed. */
export class Cluster implements RouterDirectory {
  readonly #options: ClusterOptions;
  #joining: Promise<Joined> | null = null;
  #joined: Joined | null = null;
  #closed = false;

  constructor(options: ClusterOptions) {
    this.#options = options;
  }

  get families(): readonly string[] {
    return this.#joined?.routers.families ?? [];
  }

  routersOf(family: string): readonly ActorRef<RouterProtocol>[] {
    return this.#joined?.routers.routersOf(family) ?? [];
  }

  /** The desks of the cluster. */
  findDesks(): readonly ActorRef<DeskProtocol>[] {
    const { membership, system } = this.#joined ?? {};
    return membership && system ? memberDesks(membership, system) : [];
  }

  /** Joins if need be, and gives the others a moment to be heard. Rejects with `ActorError`. */
  async ready(): Promise<void> {
    const { clock } = this.#options;
    const { since } = await this.#join();
    while (this.families.length === 0 && clock.now() < since + FIRST_FAMILY_MS) {
      await sleep(clock, LOOK_MS);
    }
  }

  /** Says goodbye and closes the connection. */
  async close(): Promise<void> {
    this.#closed = true;
    const joined = await this.#joining?.catch(() => null);
    if (joined) await leave(joined);
  }

  #join(): Promise<Joined> {
    if (this.#joining) return this.#joining;
    const joining = this.#connect();
    this.#joining = joining;
    joining.catch((error) => {
      this.#options.log.warn("Cannot join the cluster", { error });
      this.#options.clock.setTimer(RETRY_MS, () => {
        if (this.#joining === joining) this.#joining = null;
      });
    });
    return joining;
  }

  async #connect(): Promise<Joined> {
    const { node, clock, rng, log, tracer, version, protocol } = this.#options;
    const transport = await this.#options.connect();
    const system = createSystem({
      ...{ node, clock, rng, log, transport, graceMs: 500 },
      ...(tracer && { tracer }),
    });
    const describe = () => ({ offers: [] });
    const membership = new Membership({ system, transport, version, protocol, describe });
    const routers = memberRouters(membership, system);
    const joined = { since: clock.now(), system, membership, transport, routers };
    this.#joined = joined;
    this.#watch(joined);
    return joined;
  }

  #watch(joined: Joined): void {
    const { log, metrics } = this.#options;
    observeSystem(metrics, joined.system);
    observeTransport(metrics, joined.transport);
    joined.membership.on((event) => {
      if (event.type !== "replaced") return;
      log.error("Another edge has taken this one's name", { why: event.why });
      void joined.transport.close();
    });
    joined.transport.closed.then((error) => this.#lost(joined, error));
  }

  /** A connection that has ended for good is made anew at the next request. */
  async #lost(joined: Joined, error: Error | void): Promise<void> {
    if (this.#closed) return;
    this.#joined = this.#joining = null;
    this.#options.log.warn("Connection to the cluster has ended", { error });
    joined.membership.close();
    await joined.system.shutdown();
  }
}

async function leave({ membership, system, transport }: Joined): Promise<void> {
  membership.leave();
  await system.shutdown();
  await transport.close();
}
