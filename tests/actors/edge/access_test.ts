import { equal, match, ok, rejects, throws } from "node:assert/strict";
import { ConfigError } from "../../../actors/config/mod.ts";
import { isLoopback, KeyRing, loadKeys, requireKeys } from "../../../actors/edge/mod.ts";
import { chat, withEdge } from "./support.ts";

const path = "/v1/chat/completions";
const keys = KeyRing.ofPlain(["sk-first", "sk-second"]);
const bearer = (key: string) => ({ headers: { authorization: `Bearer ${key}` } });
const basic = (key: string) => ({ headers: { authorization: `Basic ${btoa(`user:${key}`)}` } });

Deno.test("the API answers only with one of the keys, and logs none", () =>
  withEdge(async ({ post, get, lines }) => {
    for (const key of ["sk-first", "sk-second"]) {
      equal((await post(path, chat(), bearer(key))).status, 200);
    }
    for (const init of [{}, bearer("sk-third"), bearer(""), basic("sk-first")]) {
      const response = await post(path, chat(), init);
      equal(response.status, 401);
      match(response.headers.get("www-authenticate") ?? "", /^Bearer/);
      equal((await response.json()).error.type, "authentication_error");
    }
    equal((await get("/v1/models")).status, 401);
    equal((await get("/v1/models", bearer("sk-first"))).status, 200);
    ok(!lines.join().includes("sk-"));
  }, { keys }));

Deno.test("health never needs a key; page and metrics need one off loopback", async () => {
  await withEdge(async ({ get }) => {
    for (const path of ["/healthz", "/readyz"]) equal((await get(path)).status, 200);
    for (const path of ["/", "/status", "/metrics"]) {
      equal((await get(path)).status, 401);
      equal((await get(path, bearer("sk-x"))).status, 401);
      equal((await get(path, bearer("sk-first"))).status, 200);
      equal((await get(path, basic("sk-first"))).status, 200);
      equal((await get(path, { headers: { authorization: "Basic %%%" } })).status, 401);
    }
  }, { keys, host: "0.0.0.0" });
  await withEdge(async ({ get }) => {
    for (const path of ["/", "/status", "/metrics"]) equal((await get(path)).status, 200);
  }, { keys });
});

Deno.test("a loopback server answers only for names of this machine", async () => {
  const ask = (host: string) => new Request("http://127.0.0.1/healthz", { headers: { host } });
  await withEdge(async ({ edge }) => {
    for (
      const host of ["127.0.0.1:8080", "localhost", "[::1]:8080", "a.localhost", "box.example"]
    ) {
      equal((await edge.fetch(ask(host))).status, 200, host);
    }
    for (const host of ["evil.example", "127.0.0.1.evil.example", "127.evil", ""]) {
      equal((await edge.fetch(ask(host))).status, 403, host);
    }
  }, { hosts: ["box.example"] });
  await withEdge(async ({ edge }) => {
    equal((await edge.fetch(ask("any.example"))).status, 200);
  }, { host: "0.0.0.0", keys });
});

Deno.test("web pages of other origins are refused unless they are listed", async () => {
  const from = (origin: string) => ({ headers: { origin } });
  await withEdge(async ({ post, get }) => {
    equal((await post(path, chat(), from("http://127.0.0.1:8080"))).status, 200);
    const own = { headers: { origin: "http://localhost:8080", host: "localhost:8080" } };
    equal((await post(path, chat(), own)).status, 200);
    for (const origin of ["https://evil.example", "null", "http://localhost:9"]) {
      equal((await post(path, chat(), from(origin))).status, 403);
    }
    const listed = await post(path, chat(), from("https://app.example"));
    equal(listed.status, 200);
    equal(listed.headers.get("access-control-allow-origin"), "https://app.example");
    const asked = { origin: "https://app.example", "access-control-request-headers": "x-a, y" };
    const preflight = await get(path, { method: "OPTIONS", headers: asked });
    equal(preflight.status, 204);
    equal(preflight.headers.get("access-control-allow-headers"), "x-a, y");
  }, { origins: ["https://app.example"], keys: null });
});

Deno.test("KeyRing knows its keys and keeps none of them", () => {
  ok(keys.find("sk-first") && keys.find("sk-second"));
  ok(!keys.find("sk-firs") && !keys.find(""));
  equal(KeyRing.ofPlain(["a", "a"]).size, 1);
  ok(!Deno.inspect(keys, { showHidden: true, depth: 9 }).includes("sk-"));
});

Deno.test("loadKeys() reads file and list, and names the place of a bad key but not the key", async () => {
  const file = await Deno.makeTempFile();
  try {
    await Deno.writeTextFile(file, "# team\nsk-a  # Ann\r\n\n sk-b#1\n");
    const ring = await loadKeys({ file, list: "sk-c, sk-a," });
    equal(ring?.size, 3);
    ok(["sk-a", "sk-b#1", "sk-c"].every((key) => ring?.find(key)));
    equal(await loadKeys({}), null);
    equal(await loadKeys({ list: " " }), null);
    await Deno.writeTextFile(file, "ok\nsk secret\n");
    await rejects(loadKeys({ file }), (error: Error) => {
      match(error.message, /Cannot use key 2 of/);
      return error instanceof ConfigError && !error.message.includes("secret");
    });
    await Deno.writeTextFile(file, "# none\n");
    await rejects(loadKeys({ file }), /Cannot find any API key in it/);
  } finally {
    await Deno.remove(file);
  }
  await rejects(loadKeys({ file: "/no/such" }), /Cannot read the file of API keys \(NotFound\)/);
});

Deno.test("requireKeys() wants keys where others can call", () => {
  for (const host of ["127.0.0.1", "localhost", "::1", "[::1]", "127.1.2.3"]) {
    ok(isLoopback(host));
    requireKeys(host, null);
  }
  for (const host of ["0.0.0.0", "::", "192.168.1.2", "example.org"]) {
    throws(() => requireKeys(host, null), /without API keys .*--keys FILE.*: /);
    requireKeys(host, keys);
  }
});
