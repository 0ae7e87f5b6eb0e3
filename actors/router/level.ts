import { ActorError, type ActorRef, type System } from "../../runtime/mod.ts";
import { checkSampledToken } from "../checks/mod.ts";
import type { LevelSummary, ReplicaSummary } from "../protocol.ts";
import type { ReplicaProtocol, ReplicaRequest, SampledToken } from "../replica_protocol.ts";
import type { LevelModel } from "./level_model.ts";
import { type OfferedReplica, type Outlook, type Replica, ReplicaSet } from "./replica_set.ts";

/** A request's own end of a replica's stream. */
export interface StreamControl {
  /** Aborts the generation. */
  readonly signal: AbortSignal;
  /** Milliseconds since the epoch; `Infinity` = none. */
  readonly deadline: number;
  /** What causes it, for tracers. */
  readonly trace?: string | undefined;
  /** Whether to wait for replicas where there are none; true by default. */
  readonly patient?: boolean;
}

/** How a level is served. */
export interface LevelOptions {
  /** The system that its replicas are reached by. */
  readonly system: System;
  /** Least confidence that accepts an answer; `null` accepts all. */
  readonly threshold: number | null;
  /** Whether the cascade visits it. */
  readonly used: boolean;
  /** Whether a replica is on its way while there is none; unknown by default. */
  readonly outlook?: () => Outlook;
}

/** How often in a row a generation may lose its replica: it may be the reason. */
const MAX_LOSSES = 16;

/** When to come again where no replica is on its way. */
const RETRY_AFTER_MS = 5000;

/** A replica that does not report its load in this time counts as busy. */
const STATUS_DEADLINE_MS = 2000;

/** A level as a router serves it: its model, and whichever replicas there are. */
export class Level {
  /** Least confidence that accepts an answer; `null` accepts all. */
  readonly threshold: number | null;
  /** Whether the cascade visits this level. */
  readonly used: boolean;
  readonly #system: System;
  readonly #replicas: ReplicaSet;

  /** A level without replicas. */
  constructor(readonly model: LevelModel, options: LevelOptions) {
    const { system, threshold, used, outlook = () => "unknown" } = options;
    this.threshold = threshold;
    this.used = used;
    this.#system = system;
    this.#replicas = new ReplicaSet(system, outlook);
  }

  /** Its model's name within the family. */
  get name(): string {
    return this.model.name;
  }

  /** Whether there is a replica. */
  get alive(): boolean {
    return this.#replicas.size > 0;
  }

  /** Takes over which replicas there are. */
  update(offered: readonly OfferedReplica[]): void {
    this.#replicas.update(offered);
  }

  /**
   * Tokens of a generation, from whichever replicas it takes: when one is lost, another goes on from the
   * tokens so far, and the reader sees neither gap nor repeat. Throws `ActorError`: `Overloaded` when every
   * replica refuses, `NoRoute` with the time to come again when there is none and none comes, or that of the
   * last loss.
   */
  async *generate(request: ReplicaRequest, control: StreamControl): AsyncGenerator<SampledToken> {
    const ids = [...request.ids];
    const search = this.#replicas.search();
    const { signal, deadline, patient = true } = control;
    let failure: ActorError | undefined;
    while (search.losses <= MAX_LOSSES) {
      const replica = await search.next({ signal, deadline, patient });
      if (!replica) throw this.#nobody(failure);
      try {
        const rest = { ...request, ids: Int32Array.from(ids) };
        for await (const token of this.#stream(replica, rest, control)) {
          ids.push(token.id);
          search.progress();
          yield token;
          if (token.finish) return;
        }
        search.lost(replica);
      } catch (error) {
        if (!mayGoOn(error)) throw error;
        failure = error;
        this.#note(replica, error);
        if (error.code !== "Overloaded") search.lost(replica);
        else if (search.hasOthers(replica)) search.avoid(replica);
        else throw error;
      }
    }
    throw failure ?? this.#nobody(undefined);
  }

  /** Load and facts of the level. */
  async summary(): Promise<LevelSummary> {
    return {
      name: this.name,
      architecture: this.model.spec.architecture,
      model: this.model.hash,
      context: this.model.context,
      threshold: this.threshold,
      replicas: await Promise.all(this.#replicas.all.map(({ ref }) => summarise(ref))),
    };
  }

  #note({ ref }: Replica, { code, message }: ActorError): void {
    this.#system.log.debug("Lost a replica", { replica: ref.address, code, message });
  }

  #nobody(cause: ActorError | undefined): ActorError {
    return new ActorError("NoRoute", `Cannot find a replica of ${this.name} that is alive`, {
      retryAfterMs: RETRY_AFTER_MS,
      cause,
    });
  }

  async *#stream(
    replica: Replica,
    request: ReplicaRequest,
    { signal, deadline, trace }: StreamControl,
  ): AsyncGenerator<SampledToken> {
    const leave = replica.enter();
    try {
      const tokens = replica.ref.stream("generate", request, { signal, deadline, trace });
      for await (const token of this.#isHere(replica) ? tokens : checked(tokens)) {
        if (token.queue !== undefined) replica.said(token.queue);
        yield token;
      }
    } finally {
      leave();
    }
  }

  /** Whether a replica runs in this node's process, and so is of this build. */
  #isHere({ ref }: Replica): boolean {
    return ref.address.startsWith(`${this.#system.node}/`);
  }
}

/** Whether another try may help: after a loss, or when another replica has room. */
function mayGoOn(error: unknown): error is ActorError {
  return error instanceof ActorError &&
    ["Terminated", "NoRoute", "Moved", "Overloaded"].includes(error.code);
}

async function* checked(tokens: AsyncIterable<SampledToken>): AsyncGenerator<SampledToken> {
  for await (const token of tokens) {
    checkSampledToken(token);
    yield token;
  }
}

async function summarise(ref: ActorRef<ReplicaProtocol>): Promise<ReplicaSummary> {
  const { address } = ref;
  try {
    const load = await ref.ask("status", undefined, { deadlineMs: STATUS_DEADLINE_MS });
    const { running, waiting, pages, steps } = load;
    return { address, alive: true, running, waiting, pages, steps };
  } catch (error) {
    if (!(error instanceof ActorError)) throw error;
    return { address, alive: false, running: 0, waiting: 0, pages: [0, 0], steps: null };
  }
}
