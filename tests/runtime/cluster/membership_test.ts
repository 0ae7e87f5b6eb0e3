import assert from "node:assert/strict";
import fc from "fast-check";
import { Directory, encode, type Offer, type TerminationReason } from "../../../runtime/mod.ts";
import { rejectsWith } from "../support/assert.ts";
import { Probe, type ProbeProtocol } from "../support/probe.ts";
import { openCluster } from "./support.ts";

Deno.test("Membership() finds every node at once", async () => {
  await using cluster = openCluster();
  const nodes = ["a", "b", "c"].map((node) => cluster.join(node));
  await cluster.clock.settle();
  for (const { sees } of nodes) assert.equal(sees(), "abc");
  assert.deepEqual(nodes[2]!.events.sort(), ["joined:a", "joined:b"]);
});

Deno.test("Membership() notices silence within 3 s and fails what waits for the node", async () => {
  await using cluster = openCluster();
  const [a, b, c] = ["a", "b", "c"].map((node) => cluster.join(node));
  await cluster.clock.advance(1000);
  b!.system.spawn(Probe, undefined, { id: "x" });
  const probe = a!.system.ref<ProbeProtocol>("b/main/probe/x");
  const reason = Promise.withResolvers<TerminationReason>();
  a!.system.watch(probe, reason.resolve);
  const pending = rejectsWith("Terminated", probe.ask("hang"));
  await cluster.clock.settle();
  cluster.network.partition("b");
  await cluster.clock.advance(3000);
  await pending;
  assert.equal((await reason.promise).type, "Lost");
  assert.deepEqual([a!.sees(), b!.sees(), c!.sees()], ["ac", "b", "ac"]);
});

Deno.test("leave() is noticed at once, and a partition heals", async () => {
  await using cluster = openCluster();
  const [a, b] = ["a", "b"].map((node) => cluster.join(node));
  await cluster.clock.settle();
  b!.membership.leave();
  await cluster.clock.settle();
  assert.deepEqual(a!.events, ["joined:b", "left:b"]);
  const c = cluster.join("c");
  const heal = cluster.network.partition("c");
  await cluster.clock.advance(3000);
  heal();
  await cluster.clock.advance(600);
  assert.deepEqual([a!.sees(), c.sees()], ["ac", "ac"]);
});

Deno.test("a node that hears but is not heard is lost on both sides, and its work ends", async () => {
  await using cluster = openCluster();
  const [a, b] = ["a", "b"].map((node) => cluster.join(node));
  await cluster.clock.settle();
  b!.system.spawn(Probe, undefined, { id: "x" });
  const probe = a!.system.ref<ProbeProtocol>("b/main/probe/x");
  const pending = rejectsWith("Terminated", probe.ask("hang"));
  await cluster.clock.settle();
  b!.mute(true);
  await cluster.clock.advance(3000);
  await pending;
  assert.deepEqual([a!.sees(), b!.sees()], ["a", "b"]);
  assert.deepEqual(await probe.ask("ended"), ["Terminated"]);
});

Deno.test("renew() voids on both sides what was at work, and the node joins again", async () => {
  await using cluster = openCluster();
  const [a, b] = ["a", "b"].map((node) => cluster.join(node));
  await cluster.clock.settle();
  b!.system.spawn(Probe, undefined, { id: "x" });
  const probe = a!.system.ref<ProbeProtocol>("b/main/probe/x");
  const pending = rejectsWith("Terminated", probe.ask("hang"));
  await cluster.clock.settle();
  b!.membership.renew("lost its connection");
  await pending;
  await cluster.clock.settle();
  assert.deepEqual(a!.events, ["joined:b", "left:b", "joined:b"]);
  assert.deepEqual(b!.events, ["joined:a", "left:a", "renewed:", "joined:a"]);
  assert.deepEqual(await probe.ask("ended"), ["Terminated"]);
});

Deno.test("a node whose transport loses its network begins a new life, and joins again", async () => {
  await using cluster = openCluster();
  const [a, b] = ["a", "b"].map((node) => cluster.join(node));
  await cluster.clock.advance(1000);
  const heal = cluster.network.disconnect("b");
  await cluster.clock.advance(100);
  assert.equal(b!.sees(), "b", "it knows at once");
  heal();
  await cluster.clock.settle();
  assert.deepEqual(a!.events, ["joined:b", "left:b", "joined:b"]);
  assert.equal(b!.sees(), "ab");
});

Deno.test("a node that stood still blames nobody for the silence", async () => {
  await using cluster = openCluster();
  const [a, b] = ["a", "b"].map((node) => cluster.join(node));
  await cluster.clock.advance(100);
  b!.standStill(60_000);
  await cluster.clock.advance(500);
  assert.deepEqual([a!.events, b!.events], [["joined:b"], ["joined:a"]]);
});

Deno.test("a node that was lost while it stood still is told so, and what it did is void", async () => {
  await using cluster = openCluster();
  const [a, b] = ["a", "b"].map((node) => cluster.join(node));
  await cluster.clock.settle();
  b!.system.spawn(Probe, undefined, { id: "x" });
  const probe = a!.system.ref<ProbeProtocol>("b/main/probe/x");
  const pending = rejectsWith("Terminated", probe.ask("hang"));
  await cluster.clock.settle();
  b!.mute(true);
  await cluster.clock.advance(3000);
  await pending;
  b!.mute(false);
  await cluster.clock.advance(1000);
  assert.deepEqual(a!.events, ["joined:b", "left:b", "joined:b"]);
  assert.deepEqual(b!.events, ["joined:a", "left:a", "joined:a"]);
  assert.deepEqual(await probe.ask("ended"), ["Terminated"]);
});

Deno.test("a stream whose reader gave it up in silence ends at its next item", async () => {
  await using cluster = openCluster();
  const [a, b] = ["a", "b"].map((node) => cluster.join(node));
  await cluster.clock.settle();
  b!.system.spawn(Probe, undefined, { id: "x" });
  const probe = a!.system.ref<ProbeProtocol>("b/main/probe/x");
  const items = probe.stream("count", 1e6, { credits: 4 });
  await items.next();
  a!.system.nodeDown("b", "as it seems");
  await assert.rejects(async () => {
    for await (const _ of items);
  }, { code: "Terminated" });
  await cluster.clock.advance(100);
  assert.deepEqual(await probe.ask("ended"), ["stream"]);
});

Deno.test("protocols that do not overlap are refused on both sides, others live together", async () => {
  await using cluster = openCluster();
  const old = cluster.join("old", { version: "1.0.0", protocol: { least: 1, most: 1 } });
  const between = cluster.join("between", { version: "1.1.0", protocol: { least: 1, most: 2 } });
  const fresh = cluster.join("fresh", { version: "2.0.0", protocol: { least: 2, most: 3 } });
  await cluster.clock.advance(5000);
  assert.equal(old.sees(), "betweenold");
  assert.equal(fresh.sees(), "betweenfresh");
  assert.equal(between.sees(), "betweenfreshold");
  assert.deepEqual(old.events.sort(), ["joined:between", "refused:fresh"]);
  assert.match(
    fresh.membership.refused.get("old")!,
    /speaks protocols 1 to 1 \(version 1\.0\.0\), this node 2 to 3/,
  );
});

Deno.test("a flapping node is kept out for a while", async () => {
  await using cluster = openCluster();
  const quarantine = { losses: 2, withinMs: 60_000, forMs: 10_000 };
  const a = cluster.join("a", { quarantine });
  const b = cluster.join("b");
  await cluster.clock.settle();
  for (let flap = 0; flap < 3; flap++) {
    b.membership.renew("lost its connection");
    await cluster.clock.settle();
  }
  assert.equal(a.sees(), "a");
  assert.match(a.membership.refused.get("b")!, /too often/);
  await cluster.clock.advance(9000);
  assert.equal(a.sees(), "a");
  await cluster.clock.advance(2000);
  assert.equal(a.sees(), "ab");
  assert.equal(a.membership.refused.size, 0);
});

Deno.test("a later process of the same name replaces the earlier one", async () => {
  await using cluster = openCluster();
  const a = cluster.join("a");
  const first = cluster.join("b");
  await cluster.clock.advance(1000);
  const second = cluster.join("b");
  await cluster.clock.advance(1000);
  assert.deepEqual(first.events.at(-1), "replaced:");
  assert.equal(second.sees(), "ab");
  assert.deepEqual(a.events, ["joined:b", "left:b", "joined:b"]);
});

Deno.test("Membership() keeps together on a network that loses, doubles and reorders", async () => {
  await using cluster = openCluster({
    loss: 0.05,
    duplicate: 0.1,
    reorder: 0.1,
    latencyMs: [1, 20],
  });
  const nodes = ["a", "b", "c", "d"].map((node) => cluster.join(node));
  await cluster.clock.advance(30_000);
  for (const { sees } of nodes) assert.equal(sees(), "abcd");
  assert.deepEqual(nodes.flatMap(({ events }) => events.filter((e) => e.startsWith("left"))), []);
});

Deno.test("hostile announcements are dead letters and nothing more", async () => {
  await using cluster = openCluster();
  const a = cluster.join("a");
  const mallory = cluster.network.connect("mallory");
  const good = {
    node: "m",
    incarnation: 1,
    life: 0,
    beat: 0,
    version: "1",
    protocol: { least: 1, most: 1 },
    hears: {},
    offers: [],
  };
  const bad = [
    null,
    { ...good, node: "other" },
    { ...good, node: "a.b" },
    { ...good, incarnation: NaN },
    { ...good, beat: -1 },
    { ...good, hears: { "../": "x" } },
    { ...good, offers: [{ name: "x", address: "m/main" }] },
    { ...good, offers: Array(5000).fill({ name: "x", address: "m/main/x/x" }) },
    { ...good, facts: new Uint8Array(300_000) },
  ];
  for (const value of bad) mallory.publish("tandem-cluster._.m", encode(value));
  await fc.assert(fc.asyncProperty(fc.uint8Array({ maxLength: 64 }), async (bytes) => {
    mallory.publish("tandem-cluster._.m", bytes);
    await null;
  }));
  await cluster.clock.settle();
  assert.equal(a.sees(), "a");
  assert.ok(a.system.deadLetters.countOf("Malformed") >= bad.length + 100);
});

Deno.test("an announcement with fields of a newer build is understood", async () => {
  await using cluster = openCluster();
  const a = cluster.join("a");
  const newer = cluster.network.connect("n");
  const life = () => {
    const { incarnation } = a.membership.members[0]!;
    return `${incarnation}:0`;
  };
  newer.publish(
    "tandem-cluster._.n",
    encode({
      node: "n",
      incarnation: 1,
      life: 0,
      beat: 0,
      version: "9",
      protocol: { least: 1, most: 9, preferred: 9 },
      hears: { a: life() },
      offers: [{ name: "x", address: "n/main/x/x", zone: "east" }],
      region: "north",
    }),
  );
  await cluster.clock.settle();
  assert.equal(a.sees(), "an");
});

Deno.test("Directory() follows what live nodes offer, and nothing that is not theirs", async () => {
  await using cluster = openCluster();
  let offers: Offer[] = [{ name: "x", address: "b/main/x/1", load: 3 }];
  const a = cluster.join("a");
  const b = cluster.join("b", {
    describe: () => ({ offers: [...offers, { name: "x", address: "a/main/x/forged" }] }),
  });
  const directory = new Directory(a.membership);
  const seen: string[] = [];
  const end = directory.follow(
    "x",
    (found) => seen.push(found.map(({ address }) => address).join()),
  );
  await cluster.clock.settle();
  offers = [...offers, { name: "x", address: "b/main/x/2", epoch: 4 }];
  b.membership.announce();
  await cluster.clock.settle();
  assert.deepEqual(directory.find("x").map(({ epoch }) => epoch), [undefined, 4]);
  b.membership.leave();
  await cluster.clock.settle();
  end();
  assert.deepEqual([...new Set(seen)], ["", "b/main/x/1", "b/main/x/1,b/main/x/2"]);
  assert.equal(seen.at(-1), "");
});
