import { deepEqual, equal, match, ok, rejects } from "node:assert/strict";
import fc from "fast-check";
import OpenAI from "openai";
import { KeyRing, loadKeys, startServer } from "../../../actors/edge/mod.ts";
import { ConfigError } from "../../../actors/config/mod.ts";
import type { GenerateEvent } from "../../../actors/protocol.ts";
import { FakeClock, systemClock } from "../../../runtime/mod.ts";
import { runTask } from "../../support/server.ts";
import { chat, end, greet, hang, withEdge } from "./support.ts";

const path = "/v1/chat/completions";
const bearer = (key: string) => ({ headers: { authorization: `Bearer ${key}` } });

async function ringOf(...keys: readonly (readonly [string, Record<string, unknown>])[]) {
  const entries = await Promise.all(keys.map(async ([key, fields]) => {
    const hash = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(key));
    return { name: key, sha256: new Uint8Array(hash).toHex(), ...fields };
  }));
  return (await loadKeys({ list: JSON.stringify({ keys: entries }) }))!;
}

Deno.test("a key's requests are refilled evenly, and every answer says what is left", async () => {
  const clock = new FakeClock();
  const keys = await ringOf(["a", { requestsPerMinute: 2 }], ["b", {}]);
  await withEdge(async ({ post }) => {
    const first = await post(path, chat(), bearer("a"));
    equal(first.status, 200);
    equal(first.headers.get("x-ratelimit-limit-requests"), "2");
    equal(first.headers.get("x-ratelimit-remaining-requests"), "1");
    equal(first.headers.get("x-ratelimit-reset-requests"), "30s");
    equal(first.headers.get("x-ratelimit-limit-tokens"), null);
    equal((await post(path, chat({ stream: true }), bearer("a"))).status, 200);
    const refused = await post(path, chat(), bearer("a"));
    equal(refused.status, 429);
    deepEqual(await refused.json(), {
      error: {
        message: "Cannot answer more than 2 requests a minute with this API key",
        type: "rate_limit_error",
        param: null,
        code: "rate_limit_exceeded",
      },
    });
    equal(refused.headers.get("retry-after"), "30");
    equal(refused.headers.get("x-ratelimit-remaining-requests"), "0");
    equal(refused.headers.get("x-ratelimit-reset-requests"), "1m0s");
    equal((await post(path, chat(), bearer("b"))).status, 200);
    await clock.advance(29_000);
    equal((await post(path, chat(), bearer("a"))).status, 429);
    await clock.advance(1000);
    equal((await post(path, chat(), bearer("a"))).status, 200);
  }, { keys, clock });
});

Deno.test("a key's tokens are charged as they are used, into debt if need be", async () => {
  const clock = new FakeClock();
  const keys = await ringOf(["a", { tokensPerMinute: 60 }]);
  await withEdge(async ({ post, script }) => {
    script.answer = async function* (request): AsyncGenerator<GenerateEvent> {
      const begin = { level: "giant", model: "m", path: [], resumed: 0, load: 1 };
      yield { type: "begin", ...begin, promptTokens: 87 };
      yield* greet(request);
    };
    const first = await post(path, chat(), bearer("a"));
    equal(first.status, 200);
    equal(first.headers.get("x-ratelimit-remaining-tokens"), "0");
    equal(first.headers.get("x-ratelimit-reset-tokens"), "1m30s");
    const refused = await post(path, chat(), bearer("a"));
    equal(refused.status, 429);
    equal(refused.headers.get("retry-after"), "31");
    match((await refused.json()).error.message, /60 tokens a minute/);
    await clock.advance(31_000);
    equal((await post(path, chat(), bearer("a"))).status, 200);
  }, { keys, clock });
});

Deno.test("a key's requests at once are counted until they end, however they end", async () => {
  const keys = await ringOf(["a", { concurrentRequests: 2 }]);
  await withEdge(async ({ post, script }) => {
    script.answer = async function* (request, signal) {
      if (script.requests.length === 1) await hang(signal);
      yield* greet(request);
    };
    const gone = new AbortController();
    const held = post(path, chat(), { ...bearer("a"), signal: gone.signal });
    while (script.requests.length < 1) await Promise.resolve();
    const streamed = await post(path, chat({ stream: true }), bearer("a"));
    const refused = await post(path, chat(), bearer("a"));
    deepEqual([refused.status, refused.headers.get("retry-after")], [429, "1"]);
    await streamed.body?.cancel();
    equal((await post(path, "{", bearer("a"))).status, 400);
    equal((await post(path, chat(), bearer("a"))).status, 200);
    gone.abort();
    await held;
    script.answer = () => {
      throw new Error("boom");
    };
    for (let i = 0; i < 3; i++) equal((await post(path, chat(), bearer("a"))).status, 500);
  }, { keys });
});

Deno.test("the openai client is told of a limit as by OpenAI", async () => {
  const keys = await ringOf(["a", { requestsPerMinute: 60 }]);
  const clock = systemClock();
  await withEdge(async ({ edge, script }) => {
    script.answer = async function* () {
      yield await Promise.resolve(end);
    };
    const server = startServer({ edge, host: "127.0.0.1", port: 0 });
    const client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: "a", maxRetries: 0 });
    try {
      const messages = [{ role: "user" as const, content: "Hi" }];
      const ask = () => client.chat.completions.create({ model: "zoo", messages });
      for (let i = 0; i < 60; i++) await ask();
      await rejects(async () => {
        for (;;) await ask();
      }, (error) => {
        ok(error instanceof OpenAI.RateLimitError);
        deepEqual([error.code, error.headers.get("retry-after")], ["rate_limit_exceeded", "1"]);
        return true;
      });
    } finally {
      await server.stop(0);
    }
  }, { keys, clock });
});

Deno.test("loadKeys() reads hashed keys, and shows no value of a bad file", async () => {
  const ring = await ringOf(["a", { admin: true, tokensPerMinute: 5 }], ["b", {}]);
  deepEqual(ring.find("a"), { name: "a", admin: true, limits: { tokensPerMinute: 5 } });
  deepEqual(ring.find("b"), { name: "b", admin: false, limits: {} });
  equal(ring.find("c"), null);
  equal(ring.plain, 0);
  const sha256 = "0".repeat(64);
  const wrong: readonly (readonly [string, RegExp])[] = [
    ['{"keys": [], "secret"', /begins as JSON but is none/],
    ['{"keys": []}', /keys must hold at least 1 item/],
    ['{"keys": [{"name": "a", "sha256": "secret"}]}', /keys\[0\].sha256 must be 64 hexadecimal/],
    [`{"keys": [{"name": "a b", "sha256": "${sha256}"}]}`, /keys\[0\].name must be/],
    [
      `{"keys": [{"name": "a", "sha256": "${sha256}", "tokensPerMinute": 0}]}`,
      /must be at least 1/,
    ],
    [`{"keys": [{"name": "a", "sha256": "${sha256}", "secret": 1}]}`, /is not a known field/],
    [
      JSON.stringify({ keys: [{ name: "a", sha256 }, { name: "a", sha256: "1".repeat(64) }] }),
      /two keys named: a/,
    ],
  ];
  for (const [list, message] of wrong) {
    await rejects(loadKeys({ list }), (error: Error) => {
      match(error.message, message);
      return error instanceof ConfigError && !error.message.includes('"secret"');
    });
  }
});

Deno.test("loadKeys() throws nothing but ConfigError on random lists", async () => {
  const json = fc.json().map((text) => `{"keys": ${text}}`);
  await fc.assert(fc.asyncProperty(fc.oneof(fc.string(), json), async (list) => {
    await loadKeys({ list }).catch((error) => {
      if (!(error instanceof ConfigError)) throw error;
    });
  }));
});

Deno.test("keys in plain text still serve, with a warning", () =>
  withEdge(async ({ post, lines }) => {
    equal((await post(path, chat(), bearer("a"))).status, 200);
    match(lines[0]!, /WARN.*plain text.*deno task keys.*count=1/);
  }, { keys: KeyRing.ofPlain(["a"]) }));

Deno.test("deno task keys makes keys that open the door, and shows them nowhere else", async () => {
  const file = await Deno.makeTempFile({ suffix: ".json" });
  await Deno.remove(file);
  try {
    const make = (...args: string[]) => runTask(["keys", ...args, "--file", file]);
    const ann = await make("--name", "ann", "--requests", "60", "--admin");
    const bob = await make("--name", "bob", "--concurrency", "2");
    deepEqual([ann.code, bob.code], [0, 0]);
    const [annKey, bobKey] = [ann.stdout.trim(), bob.stdout.trim()];
    match(annKey, /^td-[\w-]{43}$/);
    const ring = await loadKeys({ file });
    deepEqual(ring?.find(annKey), { name: "ann", admin: true, limits: { requestsPerMinute: 60 } });
    deepEqual(ring?.find(bobKey)?.limits, { concurrentRequests: 2 });
    const text = await Deno.readTextFile(file);
    ok(!text.includes(annKey) && !(ann.stderr + bob.stderr).includes(annKey));
    equal((await Deno.stat(file)).mode! & 0o077, 0);
    const again = await make("--name", "ann");
    deepEqual([again.code, again.stdout], [1, ""]);
    match(again.stderr, /two keys named: ann/);
    const printed = await runTask(["keys", "--name", "eve"]);
    match(printed.stderr, /"name": "eve"/);
    for (const args of [[], ["--name", "a b"], ["--name", "a", "--tokens", "x"], ["--what"]]) {
      const bad = await runTask(["keys", ...args]);
      deepEqual([bad.code, bad.stdout, bad.stderr.trim().split("\n").length], [1, "", 1]);
    }
  } finally {
    await Deno.remove(file);
  }
});
