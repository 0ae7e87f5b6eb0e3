import {
  type FamilyFacts,
  type LevelFacts,
  mayLead,
  type ModelFacts,
  type NodeFacts,
} from "../node_protocol.ts";
import { layOut, LayoutError } from "./layout.ts";
import type { Demand } from "./place.ts";

/**
 * The families that a cluster serves, of all that its nodes know of: of each name the one that was brought last;
 * bundled ones only while there is no other, removed ones not at all.
 */
export function servedFamilies(known: Iterable<FamilyFacts>): FamilyFacts[] {
  const latest = new Map<string, FamilyFacts>();
  for (const family of known) {
    const other = latest.get(family.name);
    if (!other || isLater(family, other)) latest.set(family.name, family);
  }
  const all = [...latest.values()].filter(({ removed }) => !removed)
    .sort((a, b) => a.name < b.name ? -1 : 1);
  const named = all.filter(({ bundled }) => !bundled);
  return named.length > 0 ? named : all;
}

/** Whether one word about a family counts more than another. */
export function isLater(a: FamilyFacts, b: FamilyFacts): boolean {
  return a.bundled === b.bundled ? a.since > b.since : b.bundled;
}

/** What replicas are wanted of, and what stands against the rest in one line each. */
export function demandsOf(
  nodes: ReadonlyMap<string, NodeFacts>,
): { demands: Demand[]; problems: string[] } {
  const models = new Map(
    nodes.values().flatMap((node) => node.models.map((model) => [model.hash, model])),
  );
  const known = nodes.entries().flatMap(([node, { families }]) => mayLead(node) ? families : []);
  const demands: Demand[] = [];
  const problems: string[] = [];
  for (const family of servedFamilies(known)) {
    for (const level of family.levels) {
      const demand = demandOf(family, level, models);
      if (typeof demand === "string") problems.push(demand);
      else demands.push(demand);
    }
  }
  return { demands, problems };
}

function demandOf(
  { name }: FamilyFacts,
  { config, model: hash }: LevelFacts,
  models: ReadonlyMap<string, ModelFacts>,
): Demand | string {
  const model = models.get(hash);
  if (!model) return `Cannot find a node with the files of ${name}/${config.name}: ${config.model}`;
  try {
    const { layers, experts } = model;
    return {
      family: name,
      level: config,
      model: hash,
      layers,
      experts,
      layout: layOut(config, model),
    };
  } catch (error) {
    if (error instanceof LayoutError) return error.message;
    throw error;
  }
}
