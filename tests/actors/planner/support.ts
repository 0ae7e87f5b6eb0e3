/** Nodes and levels for tests of the planner; no model is read. */
import type { LevelConfig } from "../../../actors/config/mod.ts";
import type { ModelFacts, NodeFacts, ReplicaPlacement } from "../../../actors/node_protocol.ts";
import { type Demand, layOut, makePlan, type Plan } from "../../../actors/planner/mod.ts";

/** A model of 12 layers and 32 experts. */
export const giant: ModelFacts = {
  hash: "sha256:giant",
  layers: 12,
  experts: 32,
  weightBytes: 1.2e9,
  expertBytes: 25e6,
  tokenBytes: 24_576,
  maxPositions: 4096,
};

/** A level with every default. */
export function level(settings: Partial<LevelConfig> = {}): LevelConfig {
  return { name: "giant", model: "/models/giant", partitions: 1, expertShards: 0, ...settings };
}

/** The wish for a level. */
export function demand(settings: Partial<LevelConfig> = {}, model: ModelFacts = giant): Demand {
  const config = level(settings);
  return {
    family: "zoo",
    level: config,
    model: model.hash,
    layers: model.layers,
    experts: model.experts,
    layout: layOut(config, model),
  };
}

/** A node with one device; memory in GB, speed in GB/s. */
export function node(memory: number, speed = 10, settings: Partial<NodeFacts> = {}): NodeFacts {
  return {
    devices: [{ name: "cpu", kind: "cpu", memory: memory * 1e9, speed: speed * 1e9 }],
    models: [giant],
    families: [],
    parts: [],
    revision: 0,
    draining: false,
    ...settings,
  };
}

/** Plans, with ids that count up. */
export function plan(
  demands: readonly Demand[],
  nodes: Readonly<Record<string, NodeFacts>>,
  running: readonly ReplicaPlacement[] = [],
): Plan {
  let count = 0;
  return makePlan({
    demands,
    nodes: new Map(Object.entries(nodes)),
    running,
    isBlocked: () => false,
    newId: ({ level }) => `${level.name}-${running.length}-${count++}`,
  });
}

/** Where the partitions of a replica are, as `node:layers`. */
export function layersOf({ partitions }: ReplicaPlacement): string {
  return partitions.map(({ node, layers }) => `${node}:${layers.count}`).join(" ");
}

/** The placements that a plan adds. */
export function added({ add }: Plan): ReplicaPlacement[] {
  return add.map(({ placement }) => placement);
}
