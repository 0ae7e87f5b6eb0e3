import assert from "node:assert/strict";
import fc from "fast-check";
import type { ReplicaPlacement } from "../../../actors/node_protocol.ts";
import { type Demand, partsOf, placesOf } from "../../../actors/planner/mod.ts";
import { added, demand, giant, layersOf, node, plan } from "./support.ts";

Deno.test("makePlan() gives each node that can hold one its own replica, unless told how many", () => {
  const nodes = { a: node(8), b: node(8), c: node(1) };
  assert.deepEqual(added(plan([demand()], nodes)).map(layersOf), ["a:12", "b:12"]);
  assert.deepEqual(added(plan([demand({ replicas: 1 })], nodes)).map(layersOf), ["a:12"]);
  assert.equal(added(plan([demand({ replicas: 3 })], nodes)).length, 3);
});

Deno.test("makePlan() splits what no node can hold, by speed and memory", () => {
  const big = demand({}, { ...giant, weightBytes: 12e9 });
  const nodesOf = (replica: ReplicaPlacement) => {
    const layers = new Map<string, number>();
    for (const { node, layers: { count } } of replica.partitions) {
      layers.set(node, (layers.get(node) ?? 0) + count);
      assert(count <= big.layout.partitionLayers);
    }
    return [...layers].map((entry) => entry.join(":")).join(" ");
  };
  const even = plan([big], { a: node(8), b: node(8), c: node(8) });
  assert.deepEqual(added(even).map(nodesOf), ["a:6 b:6"]);
  const uneven = plan([big], { a: node(12, 20), b: node(12, 10), c: node(12, 1) });
  assert.deepEqual(added(uneven).map(nodesOf), ["a:8 b:4"], "the slow node is left out");
  const tight = plan([big], { a: node(6, 30), b: node(12, 10) });
  assert.deepEqual(added(tight).map(nodesOf), ["a:5 b:7"], "memory bounds the fast node");
});

Deno.test("makePlan() gives the GPU to the largest, and the CPU what it has no room for", () => {
  const devices = (gpu: number) => [
    { name: "cpu", kind: "cpu", memory: 16e9, speed: 10e9 },
    { name: "gpu", kind: "gpu", memory: gpu, speed: 500e9 },
  ];
  const places = (gpu: number, demands: readonly Demand[]) =>
    added(plan(demands, { a: node(0, 1, { devices: devices(gpu) }) })).map(
      ({ level, partitions }) =>
        [level, ...partitions.map(({ device, layers }) => `${device}:${layers.count}`)].join(" "),
    );
  const small = demand({ name: "small" }, { ...giant, weightBytes: 0.6e9 });
  const large = demand({}, { ...giant, weightBytes: 12e9 });
  assert.deepEqual(places(16e9, [small, large]), ["giant gpu:12", "small gpu:12"]);
  assert.deepEqual(places(14e9, [small, large]), ["giant gpu:12", "small gpu:6 cpu:6"]);
  const [partly] = places(6e9, [large]);
  assert.match(partly!, /^giant gpu:5 cpu:/, "a GPU with less room takes what it can");
  assert.deepEqual(places(1e8, [large]), [places(0, [large])[0]!], "a layer is the least");
  const pinned = demand({ device: "cpu" });
  assert.deepEqual(places(16e9, [pinned]), ["giant cpu:12"]);
  const thick = demand({ kvCache: 1e9 }, { ...giant, weightBytes: 90e9 });
  assert.deepEqual(places(99e9, [thick]), ["giant gpu:12"], "no bound of WebAssembly on a GPU");
  assert.match(
    plan([thick], { a: node(99) }).problems[0]!,
    /giant without a GPU, a layer is too large for WebAssembly: 7\d\d\d MB$/,
  );
});

Deno.test("makePlan() says what does not fit, and what nobody has the files of", () => {
  const { add, problems } = plan([demand()], { a: node(1) });
  assert.deepEqual(add, []);
  assert.match(problems[0]!, /^Cannot fit zoo\/giant into the 1000 MB of .* a\/cpu: \d+ MB$/);
  const without = plan([demand()], { a: node(8, 10, { models: [] }) });
  assert.match(without.problems[0]!, /no device .* has its files: \/models\/giant/);
});

Deno.test("makePlan() gives every level its first replica before any gets its second", () => {
  const one = demand({ name: "one" });
  const two = demand({ name: "two" });
  const levels = added(plan([one, two], { a: node(2.5), b: node(2.5) })).map(({ level }) => level);
  assert.deepEqual(levels, ["one", "two"]);
});

Deno.test("makePlan() spreads partitions and experts that are asked for in numbers", () => {
  const nodes = { a: node(8), b: node(8), c: node(8) };
  const [replica] = added(plan([demand({ partitions: 3, expertShards: 3, replicas: 1 })], nodes));
  assert.equal(layersOf(replica!), "a:4 b:4 c:4");
  assert.deepEqual(new Set(replica!.shards.map((shard) => shard.node)), new Set(["a", "b", "c"]));
  assert.deepEqual(replica!.shards.flatMap(({ experts }) => experts).length, 32);
  const [alone] = added(plan([demand({ partitions: 3 })], { a: node(8) }));
  assert.equal(layersOf(alone!), "a:4 a:4 a:4");
});

Deno.test("makePlan() follows the configuration to the letter, as far as nodes are there", () => {
  const explicit = demand({
    partitions: [{ layers: 7, node: "c" }, { layers: 4, node: "b" }, { layers: 1, node: "a" }],
    replicas: 1,
  });
  const nodes = { a: node(8), b: node(8), c: node(8) };
  const [exact] = added(plan([explicit], nodes));
  assert.equal(layersOf(exact!), "c:7 b:4 a:1");
  const without = added(plan([explicit], { a: nodes.a, b: nodes.b }));
  assert.equal(layersOf(without[0]!), "a:7 b:4 a:1");
  const back = plan([explicit], nodes, without);
  assert.deepEqual(added(back).map(layersOf), ["c:7 b:4 a:1"], "it moves back");
  assert.equal(back.add[0]!.replaces, without[0]);
  assert.deepEqual(plan([explicit], nodes, [exact!]).add, []);
  const only = demand({ nodes: ["b"], device: "cpu" });
  assert.deepEqual(added(plan([only], nodes)).map(layersOf), ["b:12"]);
});

Deno.test("makePlan() leaves alone what runs, and drops what nobody wants", () => {
  const nodes = { a: node(8), b: node(8) };
  const running = added(plan([demand()], nodes));
  assert.deepEqual(plan([demand()], nodes, running), { drop: [], add: [], problems: [] });
  assert.deepEqual(plan([], nodes, running).drop, running);
  const fewer = plan([demand({ replicas: 1 })], nodes, running);
  assert.deepEqual(fewer.drop, [running[1]]);
  const shorter = plan([demand({ context: 100 })], nodes, running);
  assert.deepEqual(shorter.drop, running);
  assert.equal(shorter.add.length, 2);
});

Deno.test("makePlan() moves replicas off a draining node if there is room elsewhere", () => {
  const nodes = { a: node(8), b: node(8) };
  const running = added(plan([demand({ replicas: 1 })], nodes));
  const draining = { ...nodes, a: node(8, 10, { draining: true }) };
  const moved = plan([demand({ replicas: 1 })], draining, running);
  assert.deepEqual(moved.add.map(({ placement, replaces }) => [layersOf(placement), replaces]), [
    ["b:12", running[0]],
  ]);
  const stuck = plan([demand({ replicas: 1 })], { a: draining.a, b: node(1) }, running);
  assert.deepEqual([stuck.drop, stuck.add], [[], []]);
});

Deno.test("makePlan() keeps one replica a node where nobody said how many", () => {
  const nodes = { a: node(8), b: node(8) };
  const running = added(plan([demand()], nodes));
  const twice = plan([demand()], { a: nodes.a }, [running[0]!, { ...running[0]!, id: "again" }]);
  assert.deepEqual(twice.drop.map(({ id }) => id), ["again"]);
  const leaving = { ...nodes, a: node(8, 10, { draining: true }) };
  const { drop, add } = plan([demand()], leaving, running);
  assert.deepEqual([drop, add], [[running[0]], []], "b has its own already");
  const alone = plan([demand()], leaving, [running[0]!]);
  assert.deepEqual(added(alone).map(layersOf), ["b:12"]);
  assert.deepEqual(alone.drop, []);
});

Deno.test("makePlan() spreads a replica once more nodes are there", () => {
  const asked = demand({ partitions: 2, replicas: 1 });
  const running = added(plan([asked], { a: node(8) }));
  assert.equal(layersOf(running[0]!), "a:6 a:6");
  const joined = plan([asked], { a: node(8), b: node(8) }, running);
  assert.deepEqual(added(joined).map(layersOf), ["b:6 a:6"]);
  const full = plan([asked], { a: node(2.5), b: node(1.5) }, running);
  assert.deepEqual(added(full), [], "no room to bring it up before the other stops");
});

Deno.test("partsOf() lists what others stand on first, at addresses of their own", () => {
  const [replica] = added(plan([demand({ partitions: 2, expertShards: 2 })], { a: node(8) }));
  const parts = partsOf(replica!);
  assert.deepEqual(parts.map(({ name }) => name.kind), [
    "experts",
    "experts",
    "partition",
    "partition",
    "replica",
  ]);
  assert.equal(new Set(parts.map(({ address }) => address)).size, 5);
});

Deno.test("makePlan() never overfills a device, repeats itself, and is done once it is carried out", () => {
  const arbitraryNode = fc.record({
    memory: fc.double({ min: 0.1, max: 10, noNaN: true }),
    speed: fc.double({ min: 0.5, max: 50, noNaN: true }),
  });
  const arbitraryLevel = fc.record({
    name: fc.constantFrom("one", "two"),
    partitions: fc.integer({ min: 1, max: 4 }),
    expertShards: fc.integer({ min: 0, max: 5 }),
    replicas: fc.integer({ min: 1, max: 3 }),
  });
  const levels = fc.uniqueArray(arbitraryLevel, { selector: ({ name }) => name, maxLength: 2 });
  fc.assert(fc.property(fc.array(arbitraryNode, { maxLength: 5 }), levels, (specs, settings) => {
    const nodes = Object.fromEntries(
      specs.map(({ memory, speed }, i) => [`n${i}`, node(memory, speed)]),
    );
    const demands = settings.map((setting) => demand(setting));
    const first = plan(demands, nodes);
    assert.deepEqual(plan(demands, nodes), first);
    const used = new Map<string, number>();
    const use = (name: string, bytes: number) => used.set(name, (used.get(name) ?? 0) + bytes);
    for (const replica of added(first)) {
      const { layout } = demands.find(({ level }) => level.name === replica.level)!;
      assert.equal(replica.partitions.reduce((sum, { layers }) => sum + layers.count, 0), 12);
      for (const part of replica.partitions) use(part.node, part.layers.count * layout.layerBytes);
      for (const part of replica.shards) use(part.node, part.experts.length * layout.expertBytes);
      assert(placesOf(replica).every((place) => nodes[place.node]));
    }
    for (const [name, bytes] of used) assert(bytes <= nodes[name]!.devices[0]!.memory + 1);
    const second = plan(demands, nodes, added(first));
    assert.deepEqual([second.drop, second.add], [[], []]);
  }));
});
