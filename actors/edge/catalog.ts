import { createHash } from "node:crypto";
import { ActorError, type ActorRef, type Clock } from "../../runtime/mod.ts";
import { checkStatus } from "../checks/mod.ts";
import { showValue } from "../config/mod.ts";
import type { FamilyStatus, RouterProtocol } from "../protocol.ts";
import { HttpError, unavailable } from "./errors.ts";
import { mergeStatuses } from "./family.ts";
import type { Balancer } from "./generation/mod.ts";
import type { RouterDirectory } from "./routers.ts";

/** What a model's name stands for. */
export interface Target {
  readonly model: string;
  readonly family: string;
  /** Absent = the cascade. */
  readonly level?: string;
  /** Names the models and thresholds behind the answer: OpenAI's `system_fingerprint`. */
  readonly fingerprint: string;
}

interface Known {
  readonly status: FamilyStatus;
  readonly at: number;
}

const staleMs = 1000;

/** How long a family that has no router is taken for one that will have some again. */
const missedMs = 60_000;
const statusDeadlineMs = 2000;

/** What is served, as the routers say. */
export class Catalog {
  readonly #routers: RouterDirectory;
  readonly #balancer: Balancer;
  readonly #clock: Clock;
  readonly #known = new Map<string, Known>();
  readonly #asked = new Map<string, Promise<FamilyStatus>>();

  constructor(routers: RouterDirectory, balancer: Balancer, clock: Clock) {
    this.#routers = routers;
    this.#balancer = balancer;
    this.#clock = clock;
  }

  get families(): readonly string[] {
    return this.#routers.families;
  }

  /**
   * Finds a model. Throws `HttpError`: 503 when there is none yet, 404 that lists what there is, or the
   * routers' `ActorError`.
   */
  async resolve(model: string): Promise<Target> {
    const slash = model.indexOf("/");
    const family = slash < 0 ? model : model.slice(0, slash);
    if (!this.#isServed(family)) {
      if (this.families.length === 0) throw unavailable("Cannot answer yet, no model is ready");
      throw await this.#notFound(model);
    }
    const status = await this.recent(family);
    const fingerprint = fingerprintOf(status);
    if (slash < 0) return { model, family, fingerprint };
    const level = model.slice(slash + 1);
    if (status.levels.some(({ name }) => name === level)) {
      return { model, family, level, fingerprint };
    }
    throw await this.#notFound(model);
  }

  /** Whether a family is there, or was a moment ago: all its routers may be lost for as long as it takes to see others. */
  #isServed(family: string): boolean {
    const known = this.#known.get(family);
    return this.families.includes(family) ||
      (known !== undefined && this.#clock.now() - known.at < missedMs);
  }

  /** Asks a family's routers how it is. One question at a time; rejects with `ActorError`. */
  status(family: string): Promise<FamilyStatus> {
    const asked = this.#asked.get(family);
    if (asked !== undefined) return asked;
    const asking = this.#ask(family).finally(() => this.#asked.delete(family));
    this.#asked.set(family, asking);
    return asking;
  }

  async #ask(family: string): Promise<FamilyStatus> {
    const routers = this.#routers.routersOf(family);
    const answers = await Promise.allSettled(routers.map((router) => this.#askOne(router)));
    const statuses = answers.flatMap((answer) =>
      answer.status === "fulfilled" ? [answer.value] : []
    );
    if (statuses.length === 0) throw reasonOf(answers[0], family);
    const status = statuses.reduce(mergeStatuses);
    this.#known.set(family, { status, at: this.#clock.now() });
    return status;
  }

  async #askOne(router: ActorRef<RouterProtocol>): Promise<FamilyStatus> {
    const status = await router.ask("status", undefined, { deadlineMs: statusDeadlineMs });
    checkStatus(status);
    this.#balancer.said(router.address, status.requests.running);
    return status;
  }

  /** What a family's routers said lately; asks only when nothing is known. Rejects with `ActorError`. */
  async recent(family: string): Promise<FamilyStatus> {
    const known = this.#known.get(family);
    if (known === undefined) return await this.status(family);
    if (this.#clock.now() - known.at > staleMs) this.status(family).catch(() => {});
    return known.status;
  }

  /** What the routers said last, at once; what is old is asked for anew meanwhile. */
  latest(): readonly FamilyStatus[] {
    return this.families.flatMap((family) => {
      const known = this.#known.get(family);
      if (known === undefined || this.#clock.now() - known.at > staleMs) {
        this.status(family).catch(() => {});
      }
      return known ? [known.status] : [];
    });
  }

  async #notFound(model: string): Promise<HttpError> {
    const names = await Promise.all(this.families.map(async (family) => {
      const status = await this.recent(family).catch(() => null);
      return [family, ...status?.levels.map(({ name }) => `${family}/${name}`) ?? []];
    }));
    const served = names.flat().join(", ") || "none";
    return new HttpError(`Cannot find the model (there are: ${served}): ${showValue(model)}`, {
      status: 404,
      code: "model_not_found",
      param: "model",
    });
  }
}

function reasonOf(answer: PromiseSettledResult<unknown> | undefined, family: string): unknown {
  if (answer?.status === "rejected") return answer.reason;
  return new ActorError("NoRoute", `Cannot find a router of the family: ${family}`);
}

function fingerprintOf({ family, levels }: FamilyStatus): string {
  const parts = levels.map((
    { name, architecture, model, context, threshold },
  ) => [name, architecture, model, context, threshold]);
  const hash = createHash("sha256").update(JSON.stringify([family, parts])).digest("hex");
  return `fp_${hash.slice(0, 12)}`;
}
