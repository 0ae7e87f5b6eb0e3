import assert from "node:assert/strict";
import {
  createMemoryNetwork,
  createSystem,
  seededRng,
  type System,
  systemClock,
  type TerminationReason,
} from "../../runtime/mod.ts";
import { rejectsWith } from "./support/assert.ts";
import { silent } from "./support/lanes.ts";
import { Probe, type ProbeProtocol } from "./support/probe.ts";

const module = new URL("./support/probe_thread.ts", import.meta.url);

function attach(system: System, name: string) {
  const worker = new Worker(module, { type: "module" });
  return { worker, thread: system.attachThread(name, worker) };
}

async function withSystem(work: (system: System) => Promise<void>): Promise<void> {
  const system = createSystem({ node: "a", log: silent });
  try {
    await work(system);
  } finally {
    await system.shutdown();
  }
}

for (const how of ["thread.terminate()", "worker.terminate()", "an uncaught error"] as const) {
  Deno.test(`a Worker that dies by ${how} loses its actors at once`, () =>
    withSystem(async (system) => {
      const { thread, worker } = attach(system, "device");
      await thread.ready;
      const probe = await system.spawnOn<ProbeProtocol>("device", "probe", undefined);
      const reason = Promise.withResolvers<TerminationReason>();
      system.watch(probe, reason.resolve);
      const pending = rejectsWith("Terminated", probe.ask("hang"));
      const stream = probe.stream("count", 1e9, { credits: 1 });
      await stream.next();
      if (how === "thread.terminate()") thread.terminate();
      else if (how === "worker.terminate()") worker.terminate();
      else await rejectsWith("Terminated", probe.ask("fail"));
      await pending;
      assert.equal((await reason.promise).type, "Lost");
      await rejectsWith("Terminated", async () => {
        for await (const _ of stream);
      });
      await rejectsWith("NoRoute", probe.ask("list"));
      assert.throws(() => probe.tell("add", 1), { code: "NoRoute" });
    }));
}

Deno.test("a thread's name is free again after its death", () =>
  withSystem(async (system) => {
    const first = attach(system, "device");
    assert.throws(() => system.attachThread("device", first.worker), { code: "Denied" });
    assert.throws(() => system.attachThread("main", first.worker), { code: "Denied" });
    first.thread.terminate();
    await rejectsWith("Terminated", first.thread.ready);
    attach(system, "device");
    const probe = await system.spawnOn<ProbeProtocol>("device", "probe", undefined, { id: "x" });
    assert.equal(probe.address, "a/device/probe/x");
  }));

Deno.test("actors of two threads reach each other through their owner", () =>
  withSystem(async (system) => {
    attach(system, "one");
    attach(system, "two");
    const one = await system.spawnOn<ProbeProtocol>("one", "probe", undefined);
    const two = await system.spawnOn<ProbeProtocol>("two", "probe", undefined);
    const heard = two.ask("whoWatches", one.address);
    await two.ask("echo", 0);
    await system.stop(one);
    assert.equal(await heard, "Stopped");
  }));

Deno.test("buffers move when asked to, and shared memory is shared", () =>
  withSystem(async (system) => {
    attach(system, "device");
    const probe = await system.spawnOn<ProbeProtocol>("device", "probe", undefined);
    const moved = new Float32Array([1, 2, 3]);
    const transfer = [moved.buffer];
    assert.deepEqual(await probe.ask("echo", moved, { transfer }), new Float32Array([1, 2, 3]));
    assert.equal(moved.byteLength, 0, "the buffer has moved");
    const copied = new Float32Array([1, 2, 3]);
    await probe.ask("echo", copied);
    assert.equal(copied.length, 3);
    const shared = new Int32Array(new SharedArrayBuffer(8));
    const back = await probe.ask("echo", shared, { transfer: [shared.buffer] }) as Int32Array;
    back[1] = 42;
    assert.equal(shared[1], 42, "both see one memory");
  }));

Deno.test("shutdown() lets the actors of a thread stop in good order", async () => {
  const shared = new Int32Array(new SharedArrayBuffer(4));
  await withSystem(async (system) => {
    attach(system, "device");
    const probe = await system.spawnOn<ProbeProtocol>("device", "probe", undefined);
    await probe.ask("signOff", shared);
  });
  assert.equal(shared[0], 1);
});

Deno.test("what cannot be cloned is refused where it is sent", () =>
  withSystem(async (system) => {
    attach(system, "device");
    const probe = await system.spawnOn<ProbeProtocol>("device", "probe", undefined);
    await rejectsWith("AppError", probe.ask("echo", () => 1));
    await rejectsWith("AppError", probe.ask("unclonable"));
    assert.deepEqual(await probe.ask("list"), []);
  }));

Deno.test("spawnOn() says why it cannot spawn", () =>
  withSystem(async (system) => {
    attach(system, "device");
    const unknown = await rejectsWith("AppError", system.spawnOn("device", "nothing", undefined));
    assert.match(unknown.message, /No such kind on a\/device: nothing/);
    await system.spawnOn("device", "probe", undefined, { id: "x" });
    await rejectsWith("Denied", system.spawnOn("device", "probe", undefined, { id: "x" }));
    await rejectsWith("NoRoute", system.spawnOn("absent", "probe", undefined));
    await rejectsWith("Denied", system.stop({ address: "a/device/system/root" }));
  }));

Deno.test("the actors of a thread hear of nodes that are gone", async () => {
  const network = createMemoryNetwork({ clock: systemClock(), rng: seededRng(1) });
  const join = (node: string) =>
    createSystem({ node, transport: network.connect(node), kinds: [Probe], log: silent });
  const [a, b] = [join("a"), join("b")];
  attach(a, "device");
  const watcher = await a.spawnOn<ProbeProtocol>("device", "probe", undefined);
  const far = await a.spawnOn<ProbeProtocol>("b/main", "probe", undefined);
  const losses = [
    () => a.nodeDown("b", "it was silent"),
    () => network.disconnect("a")(),
  ];
  for (const lose of losses) {
    const lost = watcher.ask("whoWatches", far.address);
    await watcher.ask("echo", 1);
    lose();
    assert.equal(await lost, "Lost");
  }
  await Promise.all([a.shutdown(), b.shutdown()]);
});
