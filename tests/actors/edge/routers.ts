/** Nodes whose scripted routers answer without a model, for tests of edges in clusters. */
import type { GenerateEvent, GenerateRequest, RouterProtocol } from "../../../actors/protocol.ts";
import {
  type Clock,
  createLogger,
  createSystem,
  defineActor,
  Membership,
  type System,
  type Tracer,
  type Transport,
} from "../../../runtime/mod.ts";
import { createScript, route } from "./support.ts";

/** What a counting router answers: its words, and all of them. */
export const words: readonly string[] = Array.from({ length: 12 }, (_, n) => ` w${n}`);

/** The whole answer. */
export const whole: string = words.join("");

/** A log that says nothing. */
export const silent = createLogger({ level: "silent" });

/** A router that counts in words, and can go on from any of them. */
export class CountingRouter {
  readonly requests: GenerateRequest[] = [];
  /** Called before each word. */
  before: (n: number, signal: AbortSignal) => void | Promise<void> = () => {};
  /** Requests that it says it answers. */
  load = 1;

  /** The kind of actor that answers. */
  readonly definition = defineActor<RouterProtocol, null>({
    kind: "router",
    start: () => null,
    receive: {
      generate: (_, request, { signal }) => this.#count(request, signal),
      status: () => {
        const requests = { running: this.load, finished: 0, failed: 0 };
        return { ...createScript().status, requests };
      },
    },
  });

  async *#count(request: GenerateRequest, signal: AbortSignal): AsyncGenerator<GenerateEvent> {
    this.requests.push(request);
    const resumed = request.resume?.ids.length ?? 0;
    const level = { level: "giant", model: "sha256:giant", path: [] };
    yield { type: "begin", ...level, promptTokens: 5, resumed, load: this.load };
    for (const [n, text] of words.entries()) {
      if (n < resumed) continue;
      await this.before(n, signal);
      const token = { id: n, token: text, bytes: [], logprob: -n, top: [] };
      yield { type: "text", text, tokens: [token] };
    }
    const usage = { promptTokens: 1, completionTokens: words.length };
    yield { type: "end", finish: "stop", usage, route };
  }
}

/** A node of a cluster that offers a counting router of the family `zoo`. */
export interface RouterNode extends AsyncDisposable {
  readonly router: CountingRouter;
  readonly system: System;
  readonly membership: Membership;
}

/** Starts a node. */
export function startRouterNode(
  node: string,
  transport: Transport,
  options: { readonly clock?: Clock; readonly tracer?: Tracer } = {},
): RouterNode {
  const router = new CountingRouter();
  const system = createSystem({ node, transport, log: silent, graceMs: 0, ...options });
  const { address } = system.spawn(router.definition, undefined, { id: "zoo" });
  const membership = new Membership({
    system,
    transport,
    version: "1",
    protocol: { least: 1, most: 1 },
    describe: () => ({ offers: [{ name: "router/zoo", address }] }),
  });
  return {
    router,
    system,
    membership,
    async [Symbol.asyncDispose]() {
      membership.close();
      await system.shutdown();
    },
  };
}
