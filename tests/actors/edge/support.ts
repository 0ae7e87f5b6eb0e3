import { createEdge, type Edge, type EdgeOptions, fixedRouters } from "../../../actors/edge/mod.ts";
import { parseConfig } from "../../../actors/config/mod.ts";
import type {
  FamilyStatus,
  GeneratedToken,
  GenerateEvent,
  GenerateRequest,
  LevelSummary,
  Route,
  RouterProtocol,
} from "../../../actors/protocol.ts";
import {
  type Clock,
  createLogger,
  createMetrics,
  createSystem,
  defineActor,
  FakeClock,
} from "../../../runtime/mod.ts";

/** Any JSON. */
// deno-lint-ignore no-explicit-any -- bodies of answers are looked into freely
export type Json = any;

/** What a scripted router was asked and how far it came. */
export interface Script {
  readonly requests: GenerateRequest[];
  yielded: number;
  cancelled: number;
  status: FamilyStatus;
  /** Called for each status that is asked for. */
  onStatus: () => void;
  answer: (request: GenerateRequest, signal: AbortSignal) => AsyncIterable<GenerateEvent>;
}

const words = ["Hel", "lo", " wörld"];

/** Route of an answer by the giant. */
export const route: Route = {
  level: "giant",
  confidence: -0.125,
  path: [
    {
      level: "small",
      confidence: -1.5,
      threshold: -0.25,
      outcome: "escalated",
      tokens: 2,
      milliseconds: 3,
    },
    {
      level: "giant",
      confidence: -0.125,
      threshold: null,
      outcome: "accepted",
      tokens: 3,
      milliseconds: 9,
    },
  ],
};

/** A token with as many alternatives as asked. */
export function token(text: string, alternatives: number): GeneratedToken {
  const bytes = [...new TextEncoder().encode(text)];
  const top = Array.from({ length: alternatives }, (_, i) => ({
    token: `${text}${i}`,
    bytes,
    logprob: -1 - i,
  }));
  return { id: text.length, token: text, bytes, logprob: -0.5, top };
}

/** The last event of three tokens after a prompt of five. */
export const end: GenerateEvent = {
  type: "end",
  finish: "stop",
  usage: { promptTokens: 5, completionTokens: 3 },
  route,
};

/** Greets in three pieces. */
export async function* greet(request: GenerateRequest): AsyncGenerator<GenerateEvent> {
  for (const text of words) {
    yield { type: "text", text, tokens: [token(text, request.logprobs ?? 0)] };
  }
  yield await Promise.resolve(end);
}

/** Waits until the signal is aborted, then throws its reason. */
export function hang(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    const abort = () => reject(signal.reason);
    if (signal.aborted) abort();
    else signal.addEventListener("abort", abort, { once: true });
  });
}

function level(name: string, threshold: number | null): LevelSummary {
  const replicas = [{ address: "n/main/replica/a", alive: true, running: 1, waiting: 0 }];
  return {
    name,
    architecture: "llama",
    model: `sha256:${name}`,
    context: 96,
    threshold,
    replicas: replicas.map((replica) => ({ ...replica, pages: [1, 4] as const, steps: 7 })),
  };
}

/** A script that greets. */
export function createScript(): Script {
  return {
    requests: [],
    yielded: 0,
    cancelled: 0,
    onStatus: () => {},
    status: {
      family: "zoo",
      ready: true,
      levels: [level("small", -0.25), level("giant", null)],
      requests: { running: 1, finished: 2, failed: 0 },
      answered: { small: 3, giant: 1 },
    },
    answer: greet,
  };
}

const scripted = defineActor<RouterProtocol, Script, Script>({
  kind: "router",
  start: (_context, script) => script,
  receive: {
    async *generate(script, request, { signal }) {
      script.requests.push(request);
      signal.addEventListener("abort", () => script.cancelled++, { once: true });
      for await (const event of script.answer(request, signal)) {
        script.yielded++;
        yield event;
      }
    },
    status(script) {
      script.onStatus();
      return script.status;
    },
  },
});

/** An edge over a scripted router. */
export interface Harness {
  readonly edge: Edge;
  readonly script: Script;
  readonly clock: Clock;
  /** Lines of the log. */
  readonly lines: string[];
  get(path: string, init?: RequestInit): Promise<Response>;
  post(path: string, body: unknown, init?: RequestInit): Promise<Response>;
}

/** What differs from the defaults. */
export interface HarnessOptions extends Partial<EdgeOptions> {
  readonly limit?: Readonly<Record<string, number>>;
}

/** Runs a test with an edge over a scripted router of the family `zoo`. */
export async function withEdge(
  body: (harness: Harness) => Promise<void> | void,
  { limit = {}, ...options }: HarnessOptions = {},
): Promise<void> {
  const clock = options.clock ?? new FakeClock();
  const system = createSystem({ node: "test", clock, log: createLogger({ level: "silent" }) });
  const script = createScript();
  const lines: string[] = [];
  const edge = createEdge({
    routers: fixedRouters(new Map([["zoo", system.spawn(scripted, script)]])),
    limits: parseConfig({ limits: limit }).limits,
    keys: null,
    metrics: createMetrics(),
    log: createLogger({ write: (line) => lines.push(line) }),
    clock,
    version: "1.2.3",
    ...options,
  });
  const get = (path: string, init?: RequestInit) =>
    edge.fetch(new Request(`http://127.0.0.1:8080${path}`, init));
  const post = (path: string, body: unknown, init: RequestInit = {}) =>
    get(path, {
      method: "POST",
      body: typeof body === "string" ? body : JSON.stringify(body),
      ...init,
    });
  try {
    await body({ edge, script, clock, lines, get, post });
  } finally {
    const stopped = system.shutdown({ drainMs: 0 });
    if (clock instanceof FakeClock) await clock.advance(60_000);
    await stopped;
  }
}

/** The data of an answer's server-sent events. */
export async function readEvents(response: Response): Promise<string[]> {
  const text = await response.text();
  const events = text.split("\n\n");
  if (events.pop() !== "" || !events.every((event) => event.startsWith("data: "))) {
    throw new Error(`Not server-sent events: ${JSON.stringify(text)}`);
  }
  return events.map((event) => event.slice("data: ".length));
}

/** The chunks of a streamed answer, without its `[DONE]`. */
export async function readChunks(response: Response): Promise<Json[]> {
  const events = await readEvents(response);
  if (events.pop() !== "[DONE]") throw new Error("The stream does not end with [DONE]");
  return events.map((event) => JSON.parse(event));
}

/** A chat of one message. */
export function chat(fields: Readonly<Record<string, unknown>> = {}): Record<string, unknown> {
  return { model: "zoo", messages: [{ role: "user", content: "Hi" }], ...fields };
}
