import { deepEqual, equal, match, ok, rejects, throws } from "node:assert/strict";
import OpenAI from "openai";
import { ConfigError } from "../../../actors/config/mod.ts";
import { KeyRing, type Server, startServer } from "../../../actors/edge/mod.ts";
import { ActorError, systemClock } from "../../../runtime/mod.ts";
import {
  end,
  greet,
  hang,
  type Harness,
  type HarnessOptions,
  type Json,
  token,
  withEdge,
} from "./support.ts";

interface Served extends Harness {
  readonly server: Server;
  readonly client: OpenAI;
}

const messages = [{ role: "user" as const, content: "Hi" }];

function withServer(body: (served: Served) => Promise<void>, options: HarnessOptions = {}) {
  return withEdge(async (harness) => {
    const server = startServer({ edge: harness.edge, host: "127.0.0.1", port: 0 });
    const client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: "sk-a", maxRetries: 0 });
    try {
      await body({ ...harness, server, client });
    } finally {
      await server.stop(0);
    }
  }, { clock: systemClock(), ...options });
}

Deno.test("the openai client gets answers, whole and streamed", () =>
  withServer(async ({ client }) => {
    const whole = await client.chat.completions.create({ model: "zoo", messages, logprobs: true });
    equal(whole.choices[0]?.message.content, "Hello wörld");
    equal(whole.choices[0]?.logprobs?.content?.length, 3);
    equal(whole.usage?.total_tokens, 8);
    equal((whole as Json).tandem.level, "giant");
    const stream = await client.chat.completions.create({
      model: "zoo",
      messages,
      stream: true,
      stream_options: { include_usage: true },
    });
    let text = "";
    let usage = 0;
    for await (const chunk of stream) {
      text += chunk.choices[0]?.delta.content ?? "";
      usage += chunk.usage?.total_tokens ?? 0;
    }
    deepEqual([text, usage], ["Hello wörld", 8]);
    const runner = client.chat.completions.stream({ model: "zoo", messages, n: 2 });
    const final = await runner.finalChatCompletion();
    deepEqual(final.choices.map(({ message }) => message.content), ["Hello wörld", "Hello wörld"]);
    const completion = await client.completions.create({ model: "zoo/small", prompt: ["a", "b"] });
    equal(completion.choices.length, 2);
  }));

Deno.test("the openai client lists models", () =>
  withServer(async ({ client }) => {
    const ids = [];
    for await (const { id } of client.models.list()) ids.push(id);
    deepEqual(ids, ["zoo", "zoo/small", "zoo/giant"]);
    equal((await client.models.retrieve("zoo/giant")).id, "zoo/giant");
  }));

Deno.test("the openai client throws its own errors", async () => {
  await withServer(async ({ client, script }) => {
    const ask = (fields: object) =>
      client.chat.completions.create({ model: "zoo", messages, ...fields });
    await rejects(ask({ model: "gpt" }), OpenAI.NotFoundError);
    await rejects(ask({ max_tokens: -1 }), (error) => {
      ok(error instanceof OpenAI.BadRequestError);
      equal(error.param, "max_tokens");
      return true;
    });
    // deno-lint-ignore require-yield -- it fails before its first event
    script.answer = async function* () {
      throw await Promise.resolve(new ActorError("Overloaded", "x"));
    };
    await rejects(ask({}), OpenAI.RateLimitError);
    script.answer = async function* () {
      yield { type: "text", text: "a", tokens: [token("a", 0)] };
      throw await Promise.resolve(new ActorError("Terminated", "x"));
    };
    const stream = await client.chat.completions.create({ model: "zoo", messages, stream: true });
    await rejects(Array.fromAsync(stream), (error) => {
      ok(error instanceof OpenAI.APIError);
      match(error.message, /Cannot reach the model/);
      return true;
    });
  });
  await withServer(async ({ client }) => {
    await rejects(Array.fromAsync(client.models.list()), OpenAI.AuthenticationError);
  }, { keys: KeyRing.ofPlain(["sk-b"]) });
});

Deno.test("an abort of the openai client reaches the router", () =>
  withServer(async ({ client, script, edge }) => {
    const cancelled = Promise.withResolvers<void>();
    script.answer = async function* (_request, signal) {
      signal.addEventListener("abort", () => script.cancelled === 2 && cancelled.resolve());
      yield { type: "text", text: "a", tokens: [token("a", 0)] };
      await hang(signal);
    };
    const stream = await client.chat.completions.create({ model: "zoo", messages, stream: true });
    for await (const chunk of stream) if (chunk.choices[0]?.delta.content) break;
    const gone = new AbortController();
    const whole = client.chat.completions.create({ model: "zoo", messages }, {
      signal: gone.signal,
    });
    while (script.yielded < 2) await new Promise((resolve) => setTimeout(resolve, 1));
    gone.abort();
    await rejects(whole, OpenAI.APIUserAbortError);
    await cancelled.promise;
    while (edge.inFlight > 0) await new Promise((resolve) => setTimeout(resolve, 1));
  }));

Deno.test("64 requests at once are all answered", () =>
  withServer(async ({ client, script }) => {
    const all = Array.from({ length: 64 }, (_, seed) =>
      client.chat.completions.create({ model: "zoo", messages, seed }));
    const answers = await Promise.all(all);
    ok(answers.every(({ choices }) =>
      choices[0]?.message.content === "Hello wörld"
    ));
    const seeds = script.requests.map(({ sampling }) => sampling.seed ?? -1).sort((a, b) => a - b);
    deepEqual(seeds, all.map((_, seed) => seed));
  }));

Deno.test("a body of 10 MB answers 413 over the socket", () =>
  withServer(async ({ server }) => {
    const body = JSON.stringify({ model: "zoo", prompt: "x".repeat(10_000_000) });
    const response = await fetch(`${server.url}/v1/completions`, { method: "POST", body });
    equal(response.status, 413);
    equal((await response.json()).error.code, "request_too_large");
  }));

Deno.test("startServer() names a port in use and how to choose another", () =>
  withServer(({ server, edge }) => {
    throws(() => startServer({ edge, host: "127.0.0.1", port: server.port }), (error: Error) => {
      const { port } = server;
      equal(
        error.message,
        `Cannot listen, port ${port} is in use (choose another, such as --port ${
          port + 1
        }): 127.0.0.1:${port}`,
      );
      return error instanceof ConfigError;
    });
    throws(
      () => startServer({ edge, host: "192.0.2.1", port: 0 }),
      /no such address.*: 192.0.2.1:0/,
    );
    return Promise.resolve();
  }));

Deno.test("stop() lets answers finish and then takes no connection", () =>
  withServer(async ({ server, client, script }) => {
    const go = Promise.withResolvers<void>();
    script.answer = async function* (request) {
      yield { type: "text", text: "a", tokens: [token("a", 0)] };
      await go.promise;
      yield* greet(request);
    };
    const stream = await client.chat.completions.create({ model: "zoo", messages, stream: true });
    const stopped = server.stop(60_000);
    go.resolve();
    let text = "";
    for await (const chunk of stream) text += chunk.choices[0]?.delta.content ?? "";
    equal(text, "aHello wörld");
    await stopped;
    await server.finished;
    await rejects(fetch(`${server.url}/healthz`));
  }));

Deno.test("stop() cancels what takes longer than the grace period", () =>
  withServer(async ({ server, client, script }) => {
    script.answer = async function* (_request, signal) {
      yield { type: "text", text: "a", tokens: [token("a", 0)] };
      await hang(signal);
      yield end;
    };
    const stream = await client.chat.completions.create({ model: "zoo", messages, stream: true });
    const reading = rejects(Array.fromAsync(stream), /Cannot reach the model/);
    await server.stop(1);
    await reading;
    equal(script.cancelled, 1);
  }));
