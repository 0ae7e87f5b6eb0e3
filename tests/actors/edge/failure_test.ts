import { deepEqual, equal, match, ok } from "node:assert/strict";
import type { GenerateEvent } from "../../../actors/protocol.ts";
import { ActorError, FakeClock } from "../../../runtime/mod.ts";
import { chat, end, greet, hang, readChunks, readEvents, token, withEdge } from "./support.ts";

const path = "/v1/chat/completions";

function piece(text: string): GenerateEvent {
  return { type: "text", text, tokens: [token(text, 0)] };
}

const failures: readonly (readonly [() => Error, number, string, string | null])[] = [
  [() => new ActorError("Overloaded", "x", { retryAfterMs: 2100 }), 429, "overloaded", "3"],
  [() => new ActorError("Timeout", "x"), 504, "timeout", null],
  [() => new ActorError("NoRoute", "x"), 503, "unavailable", "1"],
  [() => new ActorError("Terminated", "x"), 503, "unavailable", "1"],
  [() => new ActorError("Moved", "x"), 503, "unavailable", "1"],
  [() => new ActorError("TooLarge", "x"), 413, "too_large", null],
  [() => new ActorError("AppError", "/etc/secret"), 500, "internal_error", null],
  [
    () => new ActorError("AppError", "x", { details: { status: 200, code: "x" } }),
    500,
    "internal_error",
    null,
  ],
];

Deno.test("failures of the router become statuses, streamed or not", () =>
  withEdge(async ({ post, script }) => {
    for (const [make, status, code, retryAfter] of failures) {
      // deno-lint-ignore require-yield -- it fails before its first event
      script.answer = async function* () {
        throw await Promise.resolve(make());
      };
      for (const stream of [false, true]) {
        const response = await post(path, chat({ stream, n: 2 }));
        const { error } = await response.json();
        deepEqual([response.status, error.code], [status, code]);
        equal(response.headers.get("retry-after"), retryAfter);
        ok(!error.message.includes("secret"));
      }
    }
  }));

Deno.test("a refusal of the router keeps its status, code, parameter and message", () =>
  withEdge(async ({ post, script }) => {
    const details = { status: 400, code: "context_length_exceeded", param: "messages" };
    // deno-lint-ignore require-yield -- it fails before its first event
    script.answer = async function* () {
      throw await Promise.resolve(new ActorError("AppError", "Cannot fit: 97", { details }));
    };
    const response = await post(path, chat());
    equal(response.status, 400);
    deepEqual((await response.json()).error, {
      message: "Cannot fit: 97",
      type: "invalid_request_error",
      param: "messages",
      code: "context_length_exceeded",
    });
  }));

Deno.test("a failure in mid-stream is an event of OpenAI's form and ends the stream", () =>
  withEdge(async ({ post, script, edge, lines }) => {
    script.answer = async function* () {
      yield piece("a");
      throw await Promise.resolve(new Error("boom at x.ts:1"));
    };
    const response = await post(path, chat({ stream: true }));
    equal(response.status, 200);
    const events = await readEvents(response);
    const last = JSON.parse(events.at(-1)!);
    equal(events.length, 3);
    equal(last.error.type, "server_error");
    ok(!events.join().includes("boom"));
    equal(edge.inFlight, 0);
    match(lines.at(-1)!, /WARN.*status=50/);
  }));

Deno.test("a stream without an end answers 503", () =>
  withEdge(async ({ post, script }) => {
    script.answer = async function* () {
      yield await Promise.resolve(piece("a"));
    };
    equal((await post(path, chat())).status, 503);
  }));

Deno.test("one failed choice cancels the others", () =>
  withEdge(async ({ post, script }) => {
    script.answer = async function* (request, signal) {
      if (!request.id.endsWith("-2")) await hang(signal);
      yield piece("a");
      throw new ActorError("Terminated", "gone");
    };
    equal((await post(path, chat({ n: 3 }))).status, 503);
    equal(script.cancelled, 2);
  }));

Deno.test("a client that goes away cancels the work at once", () =>
  withEdge(async ({ post, script, edge }) => {
    script.answer = async function* (_request, signal) {
      yield piece("a");
      await hang(signal);
    };
    const gone = new AbortController();
    const reading = await post(path, chat({ stream: true }), { signal: gone.signal });
    const waiting = post(path, chat(), { signal: gone.signal });
    while (script.yielded < 2) await Promise.resolve();
    equal(edge.inFlight, 2);
    gone.abort();
    equal((await waiting).status, 499);
    match(await reading.text(), /cancelled/);
    equal(edge.inFlight, 0);
    equal(script.cancelled, 2);
  }));

Deno.test("cancelling the answer's stream cancels the work at once", () =>
  withEdge(async ({ post, script, edge, lines }) => {
    script.answer = async function* (_request, signal) {
      yield piece("a");
      await hang(signal);
    };
    const response = await post(path, chat({ stream: true, n: 2 }));
    const reader = response.body!.getReader();
    await reader.read();
    await reader.cancel();
    equal(edge.inFlight, 0);
    equal(script.cancelled, 2);
    match(lines.at(-1)!, /status=499/);
  }));

Deno.test("a client that reads slowly holds the router back", () =>
  withEdge(async ({ post, script, clock }) => {
    script.answer = async function* () {
      for (let i = 0; i < 10_000; i++) yield await Promise.resolve(piece("a"));
      yield end;
    };
    const response = await post(path, chat({ stream: true }));
    const reader = response.body!.getReader();
    for (let i = 0; i < 3; i++) await reader.read();
    await (clock as FakeClock).settle();
    ok(script.yielded < 100, `${script.yielded} events were drawn`);
    await reader.cancel();
  }));

Deno.test("a request that takes too long answers 504 or ends with an error event", async () => {
  const clock = new FakeClock();
  await withEdge(async ({ post, script, edge }) => {
    script.answer = async function* (_request, signal) {
      if (script.requests.length === 1) yield piece("a");
      await hang(signal);
    };
    const streamed = await post(path, chat({ stream: true }));
    const waiting = post(path, chat());
    while (script.requests.length < 2) await Promise.resolve();
    await clock.advance(5000);
    equal((await waiting).status, 504);
    const events = await readEvents(streamed);
    equal(JSON.parse(events.at(-1)!).error.code, "timeout");
    equal(edge.inFlight, 0);
    equal(script.cancelled, 2);
  }, { clock, limit: { requestSeconds: 5 } });
});

Deno.test("a stalled reader and a stalled body do not hold their place for ever", async () => {
  const clock = new FakeClock();
  await withEdge(async ({ post, edge }) => {
    const streamed = await post(path, chat({ stream: true }));
    const stalled = post(path, "", { body: new ReadableStream<Uint8Array>() });
    equal(edge.inFlight, 2);
    await clock.advance(5000);
    equal(edge.inFlight, 0);
    equal((await stalled).status, 504);
    await streamed.body?.cancel();
  }, { clock, limit: { requestSeconds: 5 } });
});

Deno.test("requests over the limit answer 429 with Retry-After", () =>
  withEdge(async ({ post, script }) => {
    script.answer = async function* (request, signal) {
      if (script.requests.length <= 2) await hang(signal);
      yield* greet(request);
    };
    const gone = new AbortController();
    const held = [1, 2].map(() => post(path, chat(), { signal: gone.signal }));
    while (script.requests.length < 2) await Promise.resolve();
    const refused = await post(path, chat());
    equal(refused.status, 429);
    equal(refused.headers.get("retry-after"), "1");
    equal((await refused.json()).error.type, "rate_limit_error");
    gone.abort();
    await Promise.all(held);
    equal((await post(path, chat())).status, 200);
  }, { limit: { concurrentRequests: 2 } }));

Deno.test("drain() lets requests finish, refuses new ones and cancels what is left", async () => {
  const clock = new FakeClock();
  await withEdge(async ({ post, get, script, edge }) => {
    script.answer = async function* (request, signal) {
      if (script.requests.length === 2) await hang(signal);
      yield* greet(request);
    };
    const reading = await post(path, chat({ stream: true }));
    const waiting = post(path, chat());
    while (script.requests.length < 2) await Promise.resolve();
    let drained = false;
    const draining = edge.drain(3000).then(() => drained = true);
    const refused = await post(path, chat());
    equal(refused.status, 503);
    equal(refused.headers.get("retry-after"), "1");
    equal((await get("/readyz")).status, 503);
    equal((await readChunks(reading)).length, 5);
    await clock.settle();
    equal(drained, false);
    await clock.advance(3000);
    equal((await waiting).status, 503);
    await draining;
    equal(edge.inFlight, 0);
  }, { clock });
});
