import { ActorError, type ActorRef, type System } from "../../runtime/mod.ts";
import { checkSampledToken } from "../checks/mod.ts";
import type { LevelSummary, ReplicaSummary } from "../protocol.ts";
import type { ReplicaProtocol, ReplicaRequest, SampledToken } from "../replica_protocol.ts";
import type { LevelModel } from "./level_model.ts";

/** A request's own end of a replica's stream. */
export interface StreamControl {
  /** Aborts the generation. */
  readonly signal: AbortSignal;
  /** Milliseconds since the epoch; `Infinity` = none. */
  readonly deadline: number;
  /** What causes it, for tracers. */
  readonly trace?: string | undefined;
}

interface Member {
  readonly ref: ActorRef<ReplicaProtocol>;
  outstanding: number;
  alive: boolean;
}

/** How often a generation may lose its replica before it is given up. */
const MAX_LOSSES = 5;

/** A replica that does not report its load in this time counts as busy. */
const STATUS_DEADLINE_MS = 2000;

/** A level as a router serves it: its model and its replicas. */
export class Level {
  readonly #members: Member[];
  #system: System | undefined;

  /** `threshold` is the least confidence that accepts an answer; `null` accepts all. */
  constructor(
    readonly model: LevelModel,
    replicas: readonly ActorRef<ReplicaProtocol>[],
    readonly threshold: number | null,
    /** Whether the cascade visits this level. */
    readonly used: boolean,
  ) {
    this.#members = replicas.map((ref) => ({ ref, outstanding: 0, alive: true }));
  }

  /** Its model's name within the family. */
  get name(): string {
    return this.model.name;
  }

  /** Whether any replica is alive. */
  get alive(): boolean {
    return this.#members.some((member) => member.alive);
  }

  /** Notes deaths from now on. */
  watch(system: System): void {
    this.#system = system;
    for (const member of this.#members) this.#follow(member);
  }

  /** Notes that a replica runs again under its old address. */
  revive(address: string): void {
    const member = this.#members.find(({ ref }) => ref.address === address);
    if (member) this.#follow(member);
  }

  /**
   * Tokens of a generation, from whichever replicas it takes: when one is lost, another goes on from the
   * tokens so far, and the reader sees neither gap nor repeat. Throws `ActorError`: `Overloaded` when every
   * replica refuses, `NoRoute` when none is left.
   */
  async *generate(request: ReplicaRequest, control: StreamControl): AsyncGenerator<SampledToken> {
    const ids = [...request.ids];
    const tried = new Set<Member>();
    for (let losses = 0; losses <= MAX_LOSSES;) {
      const member = this.#pick(tried);
      try {
        for await (
          const token of this.#stream(member, { ...request, ids: Int32Array.from(ids) }, control)
        ) {
          ids.push(token.id);
          tried.clear();
          yield token;
          if (token.finish) return;
        }
        losses++;
      } catch (error) {
        if (!this.#mayGoOn(error, member, tried)) throw error;
        losses++;
      }
    }
    throw new ActorError(
      "Terminated",
      `Cannot finish a generation after losing ${MAX_LOSSES} replicas of ${this.name}`,
    );
  }

  /** Load and facts of the level. */
  async summary(): Promise<LevelSummary> {
    return {
      name: this.name,
      architecture: this.model.spec.architecture,
      model: this.model.hash,
      context: this.model.context,
      threshold: this.threshold,
      replicas: await Promise.all(this.#members.map((member) => summarise(member))),
    };
  }

  #follow(member: Member): void {
    member.alive = true;
    this.#system?.watch(member.ref, () => member.alive = false);
  }

  async *#stream(
    member: Member,
    request: ReplicaRequest,
    control: StreamControl,
  ): AsyncGenerator<SampledToken> {
    member.outstanding++;
    try {
      const { signal, deadline, trace } = control;
      const tokens = member.ref.stream("generate", request, { signal, deadline, trace });
      yield* this.#isHere(member) ? tokens : checked(tokens);
    } finally {
      member.outstanding--;
    }
  }

  /** Whether a replica runs in this node's process, and so is of this build. */
  #isHere({ ref }: Member): boolean {
    return this.#system !== undefined && ref.address.startsWith(`${this.#system.node}/`);
  }

  /** The least loaded replica that is alive and was not tried in vain. */
  #pick(tried: ReadonlySet<Member>): Member {
    const open = this.#members.filter((member) => member.alive && !tried.has(member));
    const [first, ...rest] = open;
    if (!first) {
      throw new ActorError("NoRoute", `Cannot find a replica of ${this.name} that is alive`, {
        retryAfterMs: 1000,
      });
    }
    return rest.reduce(
      (best, member) => member.outstanding < best.outstanding ? member : best,
      first,
    );
  }

  /** Whether another try may help: after a loss, or when another replica has room. */
  #mayGoOn(error: unknown, member: Member, tried: Set<Member>): boolean {
    if (!(error instanceof ActorError)) return false;
    if (error.code === "Overloaded") {
      tried.add(member);
      return this.#members.some((other) => other.alive && !tried.has(other));
    }
    return ["Terminated", "NoRoute", "Moved"].includes(error.code);
  }
}

async function* checked(tokens: AsyncIterable<SampledToken>): AsyncGenerator<SampledToken> {
  for await (const token of tokens) {
    checkSampledToken(token);
    yield token;
  }
}

async function summarise({ ref, alive }: Member): Promise<ReplicaSummary> {
  const down = {
    address: ref.address,
    alive: false,
    running: 0,
    waiting: 0,
    pages: [0, 0] as const,
  };
  if (!alive) return down;
  try {
    const load = await ref.ask("status", undefined, { deadlineMs: STATUS_DEADLINE_MS });
    return {
      address: ref.address,
      alive,
      running: load.running,
      waiting: load.waiting,
      pages: load.pages,
    };
  } catch (error) {
    if (error instanceof ActorError) return down;
    throw error;
  }
}
