import {
  ActorError,
  type ActorErrorCode,
  type ActorRef,
  type AnyRef,
  type Clock,
  type Rng,
  sleep,
} from "../../../runtime/mod.ts";
import { checkGenerateEvent } from "../../checks/mod.ts";
import type { EndEvent, GenerateRequest, RouterProtocol, TextEvent } from "../../protocol.ts";
import type { RouterDirectory } from "../routers.ts";
import type { Balancer } from "./balancer.ts";
import { Progress } from "./progress.ts";

/** What ends a generation early. */
export interface GenerationControl {
  /** Milliseconds since the epoch. */
  readonly deadline: number;
  readonly signal: AbortSignal;
  /** What causes it, for tracers. */
  readonly trace?: string | undefined;
  /** Called with the tokens of the prompt, then with those of the answer as they come. */
  readonly spend: (tokens: number) => void;
}

/** What generations need. */
export interface GenerationsOptions {
  readonly routers: RouterDirectory;
  readonly balancer: Balancer;
  readonly clock: Clock;
  readonly rng: Rng;
  /** Whether a router is of this process, so that its answers need no check. */
  readonly isHere: (router: AnyRef) => boolean;
  /** Told of each router that was lost or refused when another is asked. */
  readonly failedOver: (failover: Failover) => void;
}

/** A generation leaves a router for another. */
export interface Failover {
  readonly family: string;
  /** The request's id. */
  readonly id: string;
  /** The router that is left, and why. */
  readonly router: string;
  readonly why: string;
}

/** Asks the least loaded router of a family; when it is lost, another goes on from the exact tokens. */
export type Generate = (
  family: string,
  request: GenerateRequest,
  control: GenerationControl,
) => AsyncGenerator<TextEvent | EndEvent, void, void>;

/** Errors after which another router may do better. */
const elsewhere: ReadonlySet<string> = new Set<ActorErrorCode>([
  "Terminated",
  "NoRoute",
  "Moved",
  "Overloaded",
]);

/** How long an answer waits for a router while there is none that could give it, looking this often. */
const PATIENCE_MS = 30_000;
const LOOK_MS = 100;

/** Makes the generations of an edge. Their errors are `ActorError`s. */
export function createGenerations(options: GenerationsOptions): Generate {
  return async function* generate(family, asked, control) {
    const progress = new Progress(seeded(asked, options.rng));
    const search = new Search(options, family);
    let router = search.next() ?? await search.first(control);
    if (router === undefined) throw noRouter(family);
    for (;;) {
      try {
        for await (const event of answerOf(options, router, progress, control)) {
          search.reset();
          yield event;
          if (event.type === "end") return;
        }
        throw new ActorError("Terminated", "The router ended the stream without an answer");
      } catch (error) {
        if (!mayGoOn(error, control)) throw error;
        const { message: why } = error;
        if (isVerdict(error) && !progress.begun) throw error;
        const found = await search.after(router, progress.begun, control);
        if (found === undefined) throw error;
        options.failedOver({ family, id: asked.id, router: router.address, why });
        router = found;
      }
    }
  };
}

/** Looks for routers of a family, each once until one helps. */
class Search {
  readonly #options: GenerationsOptions;
  readonly #family: string;
  readonly #tried = new Set<string>();
  #until: number | null = null;

  constructor(options: GenerationsOptions, family: string) {
    this.#options = options;
    this.#family = family;
  }

  /** The router to begin with; waits while there is none at all. */
  async first({ signal }: GenerationControl): Promise<ActorRef<RouterProtocol> | undefined> {
    const { clock } = this.#options;
    const until = clock.now() + PATIENCE_MS;
    while (this.#isEmpty && clock.now() < until) await sleep(clock, LOOK_MS, signal);
    return this.next();
  }

  /** The least loaded router that was not tried. */
  next(): ActorRef<RouterProtocol> | undefined {
    const { routers, balancer } = this.#options;
    const all = routers.routersOf(this.#family);
    return balancer.pick(all.filter(({ address }) => !this.#tried.has(address)));
  }

  /** The answer goes on: every router may be tried again. */
  reset(): void {
    this.#tried.clear();
    this.#until = null;
  }

  /**
   * The router to try after this one failed. While there is none at all, it waits for one to come; a patient
   * search also for those that failed to be well again.
   */
  async after(
    failed: ActorRef<RouterProtocol>,
    patient: boolean,
    { signal }: GenerationControl,
  ): Promise<ActorRef<RouterProtocol> | undefined> {
    const { clock } = this.#options;
    this.#tried.add(failed.address);
    const until = this.#until ??= clock.now() + PATIENCE_MS;
    for (let found = this.next();; found = this.next()) {
      if (found || !(patient || this.#isEmpty) || clock.now() >= until) return found;
      await sleep(clock, LOOK_MS, signal);
      if (clock.now() < until) this.#tried.clear();
    }
  }

  get #isEmpty(): boolean {
    return this.#options.routers.routersOf(this.#family).length === 0;
  }
}

async function* answerOf(
  { balancer, isHere }: GenerationsOptions,
  router: ActorRef<RouterProtocol>,
  progress: Progress,
  control: GenerationControl,
): AsyncGenerator<TextEvent | EndEvent> {
  const leave = balancer.enter(router.address);
  try {
    const { deadline, signal, spend, trace } = control;
    const options = { deadline, signal, trace };
    for await (const event of router.stream("generate", progress.request, options)) {
      if (!isHere(router)) checkGenerateEvent(event);
      if (event.type === "begin") {
        if (!progress.begun) spend(event.promptTokens);
        progress.begin(event);
        balancer.said(router.address, event.load);
        continue;
      }
      if (event.type === "text") {
        progress.text(event);
        spend(event.tokens.length);
      }
      yield event;
    }
  } finally {
    leave();
  }
}

/** What all routers of a family would say: that there is no replica, and when to come again. */
function isVerdict({ code, retryAfterMs }: ActorError): boolean {
  return code === "NoRoute" && retryAfterMs !== undefined;
}

function mayGoOn(error: unknown, { signal }: GenerationControl): error is ActorError {
  return error instanceof ActorError && elsewhere.has(error.code) && !signal.aborted;
}

function noRouter(family: string): ActorError {
  return new ActorError("NoRoute", `Cannot find a router of the family: ${family}`, {
    retryAfterMs: 1000,
  });
}

/** Another router must draw the same tokens, so the seed is settled here. */
function seeded(request: GenerateRequest, rng: Rng): GenerateRequest {
  const { seed = rng.integer(2 ** 53) } = request.sampling;
  return { ...request, sampling: { ...request.sampling, seed } };
}
