import { createHash } from "node:crypto";
import type { ActorRef, Clock } from "../../runtime/mod.ts";
import { showValue } from "../config/mod.ts";
import type { FamilyStatus, RouterProtocol } from "../protocol.ts";
import { HttpError } from "./errors.ts";

/** The routers of the families, by name. */
export type Routers = ReadonlyMap<string, ActorRef<RouterProtocol>>;

/** What a model's name stands for. */
export interface Target {
  readonly model: string;
  readonly router: ActorRef<RouterProtocol>;
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
const statusDeadlineMs = 2000;

/** What is served, as the routers say. */
export class Catalog {
  readonly #routers: Routers;
  readonly #clock: Clock;
  readonly #known = new Map<string, Known>();
  readonly #asked = new Map<string, Promise<FamilyStatus>>();

  constructor(routers: Routers, clock: Clock) {
    this.#routers = routers;
    this.#clock = clock;
  }

  get families(): readonly string[] {
    return [...this.#routers.keys()];
  }

  /** Finds a model. Throws `HttpError` 404 that lists what there is, or the router's `ActorError`. */
  async resolve(model: string): Promise<Target> {
    const slash = model.indexOf("/");
    const family = slash < 0 ? model : model.slice(0, slash);
    const router = this.#routers.get(family);
    if (router === undefined) throw await this.#notFound(model);
    const status = await this.recent(family);
    const fingerprint = fingerprintOf(status);
    if (slash < 0) return { model, router, fingerprint };
    const level = model.slice(slash + 1);
    if (status.levels.some(({ name }) => name === level)) {
      return { model, router, level, fingerprint };
    }
    throw await this.#notFound(model);
  }

  /** Asks a family's router how it is. One question at a time; rejects with `ActorError`. */
  status(family: string): Promise<FamilyStatus> {
    const asked = this.#asked.get(family);
    if (asked !== undefined) return asked;
    const asking = this.#ask(family).finally(() => this.#asked.delete(family));
    this.#asked.set(family, asking);
    return asking;
  }

  async #ask(family: string): Promise<FamilyStatus> {
    const router = this.#routers.get(family)!;
    const status = await router.ask("status", undefined, { deadlineMs: statusDeadlineMs });
    this.#known.set(family, { status, at: this.#clock.now() });
    return status;
  }

  /** What a family's router said lately; asks only when nothing is known. Rejects with `ActorError`. */
  async recent(family: string): Promise<FamilyStatus> {
    const known = this.#known.get(family);
    if (known === undefined) return await this.status(family);
    if (this.#clock.now() - known.at > staleMs) this.status(family).catch(() => {});
    return known.status;
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

function fingerprintOf({ family, levels }: FamilyStatus): string {
  const parts = levels.map((
    { name, architecture, model, context, threshold },
  ) => [name, architecture, model, context, threshold]);
  const hash = createHash("sha256").update(JSON.stringify([family, parts])).digest("hex");
  return `fp_${hash.slice(0, 12)}`;
}
