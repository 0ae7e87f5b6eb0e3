import { deepEqual, equal, match, ok } from "node:assert/strict";
import { createHash } from "node:crypto";
import type { ReplicaSummary } from "../../../actors/protocol.ts";
import { ActorError, FakeClock } from "../../../runtime/mod.ts";
import { chat, type Json, withEdge } from "./support.ts";

Deno.test("GET /v1/models lists the cascade and its levels", () =>
  withEdge(async ({ get }) => {
    const list = await (await get("/v1/models")).json();
    equal(list.object, "list");
    deepEqual(list.data.map(({ id }: Json) => id), ["zoo", "zoo/small", "zoo/giant"]);
    deepEqual(list.data[1], {
      id: "zoo/small",
      object: "model",
      created: 1000,
      owned_by: "tandem",
      tandem: {
        family: "zoo",
        level: "small",
        levels: ["small", "giant"],
        context: 96,
        threshold: -0.25,
      },
    });
    for (const path of ["/v1/models/zoo%2Fsmall", "/v1/models/zoo/small"]) {
      deepEqual(await (await get(path)).json(), list.data[1]);
    }
    deepEqual(await (await get("/v1/models/zoo")).json(), list.data[0]);
    equal((await get("/v1/models/gpt-4")).status, 404);
  }));

Deno.test("wrong methods answer 405 with Allow, unknown paths 404, in OpenAI's form", () =>
  withEdge(async ({ get }) => {
    const calls = [
      ["GET", "/v1/chat/completions", 405, "POST"],
      ["DELETE", "/v1/models/zoo", 405, "GET, HEAD"],
      ["PUT", "/healthz", 405, "GET, HEAD"],
      ["POST", "/", 405, "GET, HEAD"],
      ["GET", "/v1/embeddings", 404, null],
      ["POST", "/v1/chat", 404, null],
      ["GET", "/nothing%0ahere", 404, null],
    ] as const;
    for (const [method, path, status, allow] of calls) {
      const response = await get(path, { method });
      equal(response.status, status, path);
      equal(response.headers.get("allow"), allow);
      const { error } = await response.json();
      equal(error.type, "invalid_request_error");
      ok(response.headers.get("x-request-id") && !error.message.includes("\n"));
    }
    equal((await get("/healthz", { method: "HEAD" })).status, 200);
  }));

Deno.test("/readyz says which families are missing, /healthz only that the server lives", () =>
  withEdge(async ({ get, script }) => {
    deepEqual(await (await get("/readyz")).json(), { ready: true, draining: false, missing: [] });
    script.status = { ...script.status, ready: false };
    const unready = await get("/readyz");
    equal(unready.status, 503);
    deepEqual((await unready.json()).missing, ["zoo"]);
    script.onStatus = () => {
      throw new ActorError("Overloaded", "x");
    };
    equal((await get("/readyz")).status, 503);
    equal((await (await get("/status")).json()).families[0].error.includes("more requests"), true);
    equal((await get("/healthz")).status, 200);
  }));

Deno.test("/healthz fails when a replica of the own node has work and stands still", async () => {
  const clock = new FakeClock();
  await withEdge(async ({ get, script }) => {
    const { levels } = script.status;
    const say = (changes: Partial<ReplicaSummary>) => {
      const changed = levels.map((level) => ({
        ...level,
        replicas: level.replicas.map((replica) => ({ ...replica, ...changes })),
      }));
      script.status = { ...script.status, levels: changed };
    };
    const health = async (ms: number) => {
      await clock.advance(ms);
      await get("/healthz");
      await clock.settle();
      const response = await get("/healthz");
      return [response.status, (await response.json()).stuck.length];
    };
    deepEqual(await health(0), [200, 0]);
    deepEqual(await health(140_000), [200, 0]);
    deepEqual(await health(20_000), [503, 2]);
    say({ steps: 8 });
    deepEqual(await health(2000), [200, 0]);
    say({ steps: null, alive: false, running: 0 });
    deepEqual(await health(100_000), [200, 0]);
    deepEqual(await health(60_000), [503, 2]);
    say({ steps: 8, alive: true, running: 0, waiting: 0 });
    for (let i = 0; i < 3; i++) deepEqual(await health(100_000), [200, 0]);
    say({ address: "other/main/replica/a", running: 1 });
    for (let i = 0; i < 3; i++) deepEqual(await health(100_000), [200, 0]);
  }, { clock, node: "n" });
});

Deno.test("/metrics counts requests, tokens, escalations and times", () =>
  withEdge(async ({ get, post }) => {
    await post("/v1/chat/completions", chat());
    await (await post("/v1/chat/completions", chat({ stream: true, model: "zoo/giant" }))).text();
    await post("/v1/chat/completions", chat({ model: "made-up" }));
    const held = await post("/v1/chat/completions", chat({ stream: true }));
    const text = await (await get("/metrics")).text();
    const lines = [
      'tandem_requests_total{model="zoo",status="200"} 1',
      'tandem_requests_total{model="zoo/giant",status="200"} 1',
      'tandem_requests_total{model="none",status="404"} 1',
      'tandem_tokens_total{model="zoo",kind="completion"} 3',
      'tandem_tokens_total{model="zoo/giant",kind="prompt"} 5',
      'tandem_answers_total{family="zoo",level="giant"} 2',
      'tandem_escalations_total{family="zoo",level="small"} 2',
      'tandem_time_to_first_token_seconds_count{model="zoo"} 2',
      'tandem_time_per_output_token_seconds_count{model="zoo"} 1',
      'tandem_request_seconds_count{model="zoo"} 1',
      "tandem_requests_in_flight 1",
      'tandem_family_ready{family="zoo"} 1',
      'tandem_family_requests{family="zoo"} 1',
      'tandem_replica_up{family="zoo",level="giant",replica="n/main/replica/a"} 1',
      'tandem_replica_running{family="zoo",level="giant",replica="n/main/replica/a"} 1',
      'tandem_replica_waiting{family="zoo",level="giant",replica="n/main/replica/a"} 0',
      'tandem_replica_pages_used{family="zoo",level="giant",replica="n/main/replica/a"} 1',
      'tandem_replica_pages_total{family="zoo",level="giant",replica="n/main/replica/a"} 4',
    ];
    for (const line of lines) ok(text.includes(`${line}\n`), `${line} is not in\n${text}`);
    ok(!text.includes("made-up"));
    await held.body?.cancel();
  }));

Deno.test("/metrics forgets replicas that are no more, and shows a family that does not answer", () =>
  withEdge(async ({ get, script }) => {
    ok((await (await get("/metrics")).text()).includes("tandem_replica_up{"));
    script.status = { ...script.status, levels: [] };
    ok(!(await (await get("/metrics")).text()).includes("tandem_replica_up{"));
    script.onStatus = () => {
      throw new ActorError("Overloaded", "x");
    };
    ok((await (await get("/metrics")).text()).includes('tandem_family_ready{family="zoo"} 0'));
  }));

Deno.test("/status tells the page what it shows", () =>
  withEdge(async ({ get }) => {
    const status = await (await get("/status")).json();
    deepEqual([status.version, status.in_flight, status.key_needed], ["1.2.3", 0, false]);
    deepEqual(status.families[0].answered, { small: 3, giant: 1 });
  }));

Deno.test("/ is one document whose policy allows just its own script and style", () =>
  withEdge(async ({ get }) => {
    const response = await get("/");
    const html = await response.text();
    const policy = response.headers.get("content-security-policy") ?? "";
    match(policy, /^default-src 'none'/);
    const hash = (text: string) => createHash("sha256").update(text).digest("base64");
    const script = /<script type="module">([\s\S]*?)<\/script>/.exec(html)?.[1] ?? "";
    const style = /<style>([\s\S]*?)<\/style>/.exec(html)?.[1] ?? "";
    ok(policy.includes(`script-src 'sha256-${hash(script)}'`));
    ok(policy.includes(`style-src 'sha256-${hash(style)}'`));
    ok(script.length > 1000 && !/ (style|on\w+)="|https?:\/\//.test(html));
  }));

Deno.test("each completion is one line of the log, without its text", () =>
  withEdge(async ({ post, lines }) => {
    await post("/v1/chat/completions", chat({ messages: [{ role: "user", content: "secret" }] }));
    equal(lines.length, 1);
    match(lines[0]!, /INFO.*id=\w+ model=zoo status=200 ms=\d+/);
    ok(!lines[0]!.includes("secret"));
  }));
