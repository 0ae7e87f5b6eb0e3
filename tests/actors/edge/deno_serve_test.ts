import { deepEqual, equal, match, ok, rejects } from "node:assert/strict";
import OpenAI from "openai";
import { connectNats } from "../../../runtime/mod.ts";
import { readImports } from "../../checks/imports.ts";
import { type EdgeProcess, startEdgeProcess } from "../../support/edge.ts";
import { startNats } from "../../support/nats.ts";
import { until } from "../../runtime/support/assert.ts";
import { type RouterNode, startRouterNode, whole, words } from "./routers.ts";

const root = new URL("../../../", import.meta.url).pathname;
const messages = [{ role: "user" as const, content: "Hi" }];

/** A node of the cluster in this process, and what makes it fall silent for ever. */
async function join(url: string, name: string): Promise<RouterNode & { lose(): void }> {
  const transport = await connectNats({ servers: [url], name });
  let isLost = false;
  const node = startRouterNode(name, {
    maxPayload: transport.maxPayload,
    closed: transport.closed,
    publish: (subject, ...pieces) => isLost ? undefined : transport.publish(subject, ...pieces),
    probe: (...probe) => isLost ? undefined : transport.probe(...probe),
    subscribe: (pattern, callback) => transport.subscribe(pattern, callback),
    watch: (callback) => transport.watch(callback),
    flush: () => transport.flush(),
    close: () => transport.close(),
  });
  return {
    ...node,
    lose: () => {
      isLost = true;
    },
  };
}

async function textOf(client: OpenAI): Promise<string> {
  const stream = await client.chat.completions.create({ model: "zoo", messages, stream: true });
  let text = "";
  for await (const chunk of stream) text += chunk.choices[0]?.delta.content ?? "";
  return text;
}

Deno.test("deno serve actors/edge/main.ts serves a cluster by the rules of Deno Deploy", async (t) => {
  await using nats = await startNats();
  await using one = await join(nats.url, "one");
  await using two = await join(nats.url, "two");
  await using edge = await startEdgeProcess({ TANDEM_NATS_URL: nats.url, TANDEM_API_KEYS: "sk-a" });
  const client = new OpenAI({ baseURL: `${edge.url}/v1`, apiKey: "sk-a", maxRetries: 0 });

  await t.step("the first request joins", async () => {
    equal(await textOf(client), whole);
    const { data } = await client.models.list();
    deepEqual(data.map(({ id }) => id), ["zoo", "zoo/small", "zoo/giant"]);
    const ready = await (await fetch(`${edge.url}/readyz`)).json();
    equal(ready.ready, true);
    const headers = { authorization: "Bearer sk-a" };
    const metrics = await (await fetch(`${edge.url}/metrics`, { headers })).text();
    match(metrics, /^tandem_transport_up 1$/m);
    match(metrics, /^tandem_family_ready\{family="zoo"\} 1$/m);
    const stranger = new OpenAI({ baseURL: `${edge.url}/v1`, apiKey: "sk-b", maxRetries: 0 });
    await rejects(textOf(stranger), OpenAI.AuthenticationError);
  });

  await t.step("a client that goes away cancels the router's work", async () => {
    const cancelled = Promise.withResolvers<void>();
    for (const { router } of [one, two]) {
      router.before = (n, signal) =>
        n < 3 ? undefined : new Promise<never>((_, reject) => {
          signal.addEventListener("abort", () => {
            cancelled.resolve();
            reject(signal.reason);
          });
        });
    }
    const stream = await client.chat.completions.create({ model: "zoo", messages, stream: true });
    for await (const chunk of stream) if (chunk.choices[0]?.delta.content) break;
    await cancelled.promise;
  });

  await t.step("streams go on when a node is lost in the middle of them", async () => {
    let reached = 0;
    const lose = Promise.withResolvers<void>();
    for (const node of [one, two]) {
      node.router.before = async (n) => {
        if (n !== 5) return;
        if (++reached === 8) {
          one.lose();
          lose.resolve();
        }
        await lose.promise;
      };
    }
    const texts = await Promise.all(Array.from({ length: 8 }, () => textOf(client)));
    deepEqual(texts, Array(8).fill(whole));
    const resumed = two.router.requests.filter(({ resume }) => resume !== undefined);
    ok(resumed.length > 0);
    ok(resumed.every(({ resume }) => resume!.ids.length <= words.length));
  });

  await t.step("it needs less than 512 MB", async () => {
    const status = await Deno.readTextFile(`/proc/${edge.pid}/status`);
    const kilobytes = Number(/VmHWM:\s+(\d+) kB/.exec(status)![1]);
    ok(kilobytes < 300_000, `${kilobytes} kB`);
  });

  await t.step("SIGTERM lets a stream finish and leaves the cluster", async () => {
    const go = Promise.withResolvers<void>();
    two.router.before = (n) => n === 5 ? go.promise : undefined;
    const before = two.router.requests.length;
    const text = textOf(client);
    await until(() => two.router.requests.length > before);
    const left = new Promise<boolean>((resolve) => {
      two.membership.on((event) => event.type === "left" && resolve(event.onPurpose));
    });
    const stopped = edge.stop("SIGTERM");
    go.resolve();
    equal(await text, whole);
    equal((await stopped).code, 0);
    equal(await left, true);
  });
});

Deno.test("deno serve actors/edge/main.ts reaches a cluster by wss://, if it trusts the server", async () => {
  const tls = `${root}tests/support/tls`;
  await using nats = await startNats({
    config: `websocket {
      listen: "127.0.0.1:-1"
      tls { cert_file: "${tls}/server.pem", key_file: "${tls}/server.key" }
    }`,
  });
  await using _router = await join(nats.url, "one");
  const TANDEM_NATS_URL = `wss://localhost:${nats.webSocketPort}`;
  const ask = async ({ url }: EdgeProcess) =>
    await textOf(new OpenAI({ baseURL: `${url}/v1`, apiKey: "none", maxRetries: 0 }));
  await using edge = await startEdgeProcess({ TANDEM_NATS_URL, DENO_CERT: `${tls}/ca.pem` });
  equal(await ask(edge), whole);
  await using wary = await startEdgeProcess({ TANDEM_NATS_URL });
  await rejects(ask(wary), (error: InstanceType<typeof OpenAI.APIError>) => error.status === 503);
  match((await wary.stop()).stderr, /UnknownIssuer.*Cannot join the cluster/);
});

Deno.test("deno serve actors/edge/main.ts without its variables ends with one line", async () => {
  await rejects(startEdgeProcess({}), (error: Error) => {
    match(error.message, /TANDEM_NATS_URL is required/);
    equal(error.message.split("\n").length, 1);
    return true;
  });
});

Deno.test("actors/edge/main.ts loads nothing of models", () => {
  const imports = readImports(root, ["actors", "runtime"]).filter(({ typeOnly }) => !typeOnly);
  const reached = new Set(["actors/edge/main.ts"]);
  for (const file of reached) {
    for (const { from, to } of imports) if (from === file) reached.add(to);
  }
  ok(reached.size > 50);
  const heavy = /^kernels\/|^actors\/(node|planner|replica|router|experts)\//;
  deepEqual([...reached].filter((file) => heavy.test(file)), []);
});
