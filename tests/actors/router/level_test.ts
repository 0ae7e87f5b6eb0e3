import assert from "node:assert/strict";
import type { ReplicaProtocol, ReplicaRequest } from "../../../actors/replica_protocol.ts";
import { Level, type LevelModel, type Outlook } from "../../../actors/router/mod.ts";
import {
  ActorError,
  type Context,
  createLogger,
  createSystem,
  defineActor,
  FakeClock,
  type System,
} from "../../../runtime/mod.ts";

/** What a fake replica does with its generations: how many tokens it makes before it fails, and how. */
interface Behaviour {
  readonly after?: number;
  readonly error?: ActorError;
  readonly queue?: number;
}

interface FakeReplica {
  behaviour: Behaviour;
  readonly requests: ReplicaRequest[];
}

const model = {
  name: "one",
  hash: "sha256:0",
  context: 100,
  spec: { architecture: "llama" },
} as LevelModel;

/** A replica whose next token is always the number of the tokens before it. */
const Fake = defineActor<ReplicaProtocol, FakeReplica, FakeReplica>({
  kind: "replica",
  start: (_, fake) => fake,
  receive: {
    async *generate(fake, request, { signal }: Context<ReplicaProtocol>) {
      fake.requests.push(request);
      const { after = Infinity, error, queue } = fake.behaviour;
      const end = request.promptLength + request.maxTokens;
      for (let made = 0, id = request.ids.length; id < end && !signal.aborted; made++, id++) {
        if (made === after) throw error;
        const finish = id === end - 1 ? { finish: "length" as const } : {};
        const busy = queue === undefined ? {} : { queue };
        yield { id, logprob: -1, margin: 1, entropy: 1, ...finish, ...busy };
      }
    },
    drain: () => {},
    status: () => ({ running: 2, waiting: 1, pages: [3, 4], steps: 5 }) as never,
  },
});

function open() {
  const clock = new FakeClock();
  const system = createSystem({ node: "a", clock, log: createLogger({ level: "silent" }) });
  const planner = { outlook: "unknown" as Outlook };
  const outlook = () => planner.outlook;
  const level = new Level(model, { system, threshold: null, used: true, outlook });
  const offered = new Map<string, boolean>();
  const offer = () =>
    level.update([...offered].map(([address, draining]) => ({ address, draining })));
  const add = (id: string, behaviour: Behaviour = {}, draining = false): FakeReplica => {
    const fake: FakeReplica = { behaviour, requests: [] };
    offered.set(system.spawn(Fake, fake, { id }).address, draining);
    offer();
    return fake;
  };
  const remove = (id: string) => {
    offered.delete(`a/main/replica/${id}`);
    offer();
  };
  const close = async () => {
    const closing = system.shutdown();
    await clock.advance(60_000);
    await closing;
  };
  return { clock, system, level, planner, add, remove, [Symbol.asyncDispose]: close };
}

const request: ReplicaRequest = {
  id: "r",
  ids: Int32Array.of(0, 1, 2),
  promptLength: 3,
  maxTokens: 7,
  eosIds: [],
  sampling: {
    temperature: 0,
    topK: 0,
    topP: 1,
    minP: 0,
    repetitionPenalty: 1,
    presencePenalty: 0,
    frequencyPenalty: 0,
    seed: 1,
  },
  alternatives: 0,
};

const whole = [3, 4, 5, 6, 7, 8, 9];

/** All ids of a generation, while time goes on. */
async function generate(
  level: Level,
  { clock }: { clock: FakeClock; system: System },
  control: { patient?: boolean; deadline?: number } = {},
): Promise<number[]> {
  const ids: number[] = [];
  const signal = new AbortController().signal;
  const reading = (async () => {
    for await (const token of level.generate(request, { signal, deadline: Infinity, ...control })) {
      ids.push(token.id);
    }
  })();
  let done = false;
  const settled = reading.finally(() => done = true);
  settled.catch(() => {});
  for (let step = 0; !done && step < 1000; step++) await clock.advance(100);
  await settled;
  return ids;
}

const lost = new ActorError("Terminated", "Node b: it was silent");

Deno.test("Level.generate() goes on elsewhere from the exact ids", async () => {
  await using test = open();
  const a = test.add("a", { after: 3, error: lost });
  const b = test.add("b");
  assert.deepEqual(await generate(test.level, test), whole);
  assert.deepEqual([...b.requests[0]!.ids], [0, 1, 2, 3, 4, 5]);
  assert.equal(b.requests[0]!.promptLength, 3);
  assert.equal(a.requests.length, 1);
});

Deno.test("Level.generate() waits for a replica to come, and comes back to one that is well again", async () => {
  await using test = open();
  test.clock.setTimer(5000, () => test.add("late"));
  assert.deepEqual(await generate(test.level, test), whole);
  test.remove("late");
  const flaky = test.add("flaky", { after: 2, error: lost });
  assert.deepEqual(await generate(test.level, test), whole);
  assert.equal(flaky.requests.length, 4);
});

Deno.test("Level.generate() waits for a replica that is on its way until the deadline", async () => {
  await using test = open();
  test.planner.outlook = "coming";
  test.clock.setTimer(90_000, () => test.add("giant"));
  assert.deepEqual(await generate(test.level, test), whole);
  test.remove("giant");
  const began = test.clock.now();
  const deadline = began + 60_000;
  await assert.rejects(generate(test.level, test, { deadline }), { code: "NoRoute" });
  assert.ok(test.clock.now() >= deadline);
});

Deno.test("Level.generate() gives up early where none comes, later where that is not known", async () => {
  await using test = open();
  const refusal = { code: "NoRoute", retryAfterMs: 5000 };
  const gaveUpAfter = async (control = {}) => {
    const began = test.clock.now();
    await assert.rejects(generate(test.level, test, control), refusal);
    return test.clock.now() - began;
  };
  const within = (ms: number, least: number) =>
    assert.ok(ms >= least && ms <= least + 1000, `${ms}`);
  within(await gaveUpAfter(), 30_000);
  test.planner.outlook = "none";
  within(await gaveUpAfter(), 5000);
  within(await gaveUpAfter({ patient: false }), 0);
  test.planner.outlook = "coming";
  test.clock.setTimer(40_000, () => test.planner.outlook = "none");
  within(await gaveUpAfter(), 44_500);
});

Deno.test("Level.generate() gives up a request that no replica survives", async () => {
  await using test = open();
  const fakes = ["a", "b", "c"].map((id) => test.add(id, { after: 0, error: lost }));
  await assert.rejects(generate(test.level, test), { code: "Terminated", message: /silent/ });
  const attempts = fakes.reduce((sum, { requests }) => sum + requests.length, 0);
  assert(attempts > 8 && attempts <= 17, `${attempts} attempts`);
});

Deno.test("Level.generate() asks another when one is full, and says so when all are", async () => {
  await using test = open();
  const error = new ActorError("Overloaded", "full", { retryAfterMs: 1000 });
  test.add("a", { after: 0, error });
  await assert.rejects(generate(test.level, test), { code: "Overloaded", retryAfterMs: 1000 });
  test.add("b");
  assert.deepEqual(await generate(test.level, test), whole);
});

Deno.test("Level.generate() spares what is about to go, and what is busier", async () => {
  await using test = open();
  const going = test.add("going", {}, true);
  assert.deepEqual(await generate(test.level, test), whole);
  const staying = test.add("staying");
  assert.deepEqual(await generate(test.level, test), whole);
  assert.deepEqual([going.requests.length, staying.requests.length], [1, 1]);
  const idle = test.add("idle", { queue: 1 });
  staying.behaviour = { queue: 5 };
  const signal = new AbortController().signal;
  const control = { signal, deadline: Infinity };
  const first = test.level.generate(request, control);
  await first.next();
  const second = test.level.generate(request, control);
  await second.next();
  const third = test.level.generate(request, control);
  await third.next();
  assert.deepEqual([staying.requests.length, idle.requests.length], [2, 2]);
  for (const stream of [first, second, third]) await stream.return(undefined);
});

Deno.test("Level.generate() passes on what is the request's own fault", async () => {
  await using test = open();
  test.add("a", { after: 1, error: new ActorError("AppError", "Cannot do this") });
  test.add("b");
  await assert.rejects(generate(test.level, test), { code: "AppError" });
});

Deno.test("summary() lists the replicas with their load", async () => {
  await using test = open();
  test.add("a");
  const { replicas } = await test.level.summary();
  assert.deepEqual(replicas, [
    { address: "a/main/replica/a", alive: true, running: 2, waiting: 1, pages: [3, 4], steps: 5 },
  ]);
  assert.equal(test.level.alive, true);
  test.remove("a");
  assert.equal(test.level.alive, false);
});
