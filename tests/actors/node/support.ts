/** Starts nodes for tests and asks their routers for ids. */
import { parseConfig } from "../../../actors/config/mod.ts";
import { startNode, type TandemNode } from "../../../actors/node/mod.ts";
import type { RouterProtocol } from "../../../actors/protocol.ts";
import { type ActorRef, createLogger } from "../../../runtime/mod.ts";

/** One level of a test family; the rest is as by default. */
export interface TestLevel {
  readonly name: string;
  readonly model: string;
  readonly [setting: string]: unknown;
}

/** Starts a node that serves one family. */
export function startFamily(
  levels: readonly TestLevel[],
  options: { calibration?: string; device?: "cpu" | "reference"; threads?: number } = {},
): Promise<TandemNode> {
  const { calibration, device = "cpu", threads = 2 } = options;
  const config = parseConfig({
    devices: [{ name: "device", kind: device, threads }],
    families: [{ name: "family", levels, ...(calibration && { calibration }) }],
  });
  return startNode(config, { log: createLogger({ level: "silent" }) });
}

/** Runs a body with a family's router, and stops the node after it. */
export async function withFamily(
  levels: readonly TestLevel[],
  body: (router: ActorRef<RouterProtocol>, node: TandemNode) => Promise<void>,
  options: Parameters<typeof startFamily>[1] = {},
): Promise<void> {
  const node = await startFamily(levels, options);
  try {
    await body(node.routers.get("family")!, node);
  } finally {
    await node.close();
  }
}

/** Greedy ids after a prompt of ids; `onToken` sees how many there are so far. */
export async function greedyIds(
  router: ActorRef<RouterProtocol>,
  prompt: readonly number[],
  maxTokens: number,
  onToken: (count: number) => void | Promise<void> = () => {},
): Promise<number[]> {
  const ids: number[] = [];
  const request = {
    id: crypto.randomUUID(),
    prompt: { kind: "ids", ids: prompt },
    maxTokens,
    stop: [],
    sampling: { temperature: 0 },
    logprobs: 0,
  } as const;
  for await (const event of router.stream("generate", request)) {
    if (event.type !== "text") continue;
    ids.push(...event.tokens.map(({ id }) => id));
    await onToken(ids.length);
  }
  return ids;
}

/** Published greedy ids of a small model. */
export function publishedIds(dir: string): { readonly prompt: number[]; readonly ids: number[] } {
  const { prompt_ids, ids } = JSON.parse(Deno.readTextFileSync(`${dir}/expected_greedy.json`));
  return { prompt: prompt_ids, ids };
}

/** `count` prompts that are prefixes of the published text, of different lengths, with what follows them. */
export function prefixes(dir: string, count: number, tokens: number) {
  const { prompt, ids } = publishedIds(dir);
  return Array.from({ length: count }, (_, i) => {
    const length = i * 4 % (ids.length - tokens);
    return {
      prompt: [...prompt, ...ids.slice(0, length)],
      next: ids.slice(length, length + tokens),
    };
  });
}
