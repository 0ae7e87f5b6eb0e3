import type { ActorRef } from "../../runtime/mod.ts";
import type { GenerateRequest, Prompt, Route, RouterProtocol, Usage } from "../protocol.ts";

/** A whole answer of a router. */
export interface CollectedAnswer {
  /** Its pieces together. */
  readonly text: string;
  /** Whether it came to its end or to the most tokens. */
  readonly finish: "stop" | "length";
  /** Tokens that it used. */
  readonly usage: Usage;
  /** Which levels were visited for it. */
  readonly route: Route;
}

/** How many prompts are asked, and how. */
export interface AskAllOptions {
  /** A level's name for direct access; absent = the cascade. */
  readonly level?: string;
  /** Prompts asked at once, from 1. */
  readonly concurrency: number;
  /** Called after each answer with how many are done. */
  readonly progress?: (done: number) => void;
}

/** Asks a router for one greedy answer. Rejects with `ActorError`. */
export async function collectAnswer(
  router: ActorRef<RouterProtocol>,
  request: GenerateRequest,
): Promise<CollectedAnswer> {
  let text = "";
  for await (const event of router.stream("generate", request)) {
    if (event.type === "text") text += event.text;
    else if (event.type === "end") {
      return { text, finish: event.finish, usage: event.usage, route: event.route };
    }
  }
  throw new Error(`Cannot collect an answer that has no end: ${request.id}`);
}

/** Asks all prompts greedily, `concurrency` at a time; answers keep the prompts' order. */
export async function askAll(
  router: ActorRef<RouterProtocol>,
  prompts: readonly Prompt[],
  { level, concurrency, progress }: AskAllOptions,
): Promise<CollectedAnswer[]> {
  const answers: CollectedAnswer[] = new Array(prompts.length);
  let [next, done] = [0, 0];
  const work = async () => {
    while (next < prompts.length) {
      const index = next++;
      answers[index] = await collectAnswer(router, {
        id: `item-${index}`,
        prompt: prompts[index]!,
        stop: [],
        sampling: { temperature: 0 },
        ...(level !== undefined && { level }),
      });
      progress?.(++done);
    }
  };
  await Promise.all(Array.from({ length: Math.min(concurrency, prompts.length) }, work));
  return answers;
}
