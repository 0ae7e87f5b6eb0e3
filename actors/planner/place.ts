/** Decides which devices hold which parts of one replica. */
import type { LevelConfig, PartitionConfig, ShardConfig } from "../config/mod.ts";
import type {
  PartitionPlacement,
  Place,
  ReplicaPlacement,
  ShardPlacement,
} from "../node_protocol.ts";
import { apportion, split } from "./apportion.ts";
import { type Layout, shardCount } from "./layout.ts";
import { keyOf, type Site, type Sites } from "./sites.ts";

/** A level that replicas are wanted of. */
export interface Demand {
  /** The family's name. */
  readonly family: string;
  /** What its configuration says. */
  readonly level: LevelConfig;
  /** Content hash of its model. */
  readonly model: string;
  /** Number of the model's layers. */
  readonly layers: number;
  /** Experts of a sparse layer; 0 = a dense model. */
  readonly experts: number;
  /** What its replicas need. */
  readonly layout: Layout;
}

/** Where the parts of one replica go. */
export type Spread = Pick<ReplicaPlacement, "host" | "partitions" | "shards">;

/** A hint of the configuration about one part. */
type Hint = Pick<PartitionConfig | ShardConfig, "node" | "device">;

/** The sites that may hold parts of a level. */
export function eligibleSites({ level, model }: Demand, sites: Sites): Site[] {
  const isAllowed = ({ node, device, models }: Site) =>
    models.has(model) && (level.nodes?.includes(node) ?? true) &&
    (level.device === undefined || level.device === device);
  return sites.all.filter(isAllowed);
}

/**
 * Finds room for one more replica on some sites, the preferred ones first; `null` when there is none. What
 * it takes is for `takeMemory()` to note.
 */
export function placeReplica(demand: Demand, preferred: readonly Site[]): Spread | null {
  const partitions = placePartitions(demand, preferred);
  if (!partitions) return null;
  const shards = placeShards(demand, preferred, partitions);
  if (!shards) return null;
  const { node, device } = partitions[0]!;
  return { host: { node, device }, partitions, shards };
}

/** Takes the memory of a replica from the sites that it lies on. */
export function takeMemory(sites: Sites, { layout }: Demand, spread: Spread): void {
  for (const part of spread.partitions) sites.take(part, part.layers.count * layout.layerBytes);
  for (const part of spread.shards) sites.take(part, part.experts.length * layout.expertBytes);
}

/** Whether a replica lies as its configuration asks, as far as the sites that are there allow. */
export function isAsAsked(demand: Demand, spread: Spread, eligible: readonly Site[]): boolean {
  const { partitions, expertShards } = demand.level;
  const follows = (hints: readonly Hint[], places: readonly Place[]) =>
    hints.every((hint, i) =>
      (places[i] && matches(hint, places[i])) || !eligible.some((site) => matches(hint, site))
    );
  const spreads = (count: number, places: readonly Place[]) =>
    new Set(places.map(keyOf)).size >= Math.min(count, eligible.length);
  const lies = (asked: number | readonly Hint[], places: readonly Place[]) =>
    typeof asked === "number" ? spreads(asked, places) : follows(asked, places);
  return lies(partitions, spread.partitions) && lies(expertShards, spread.shards);
}

function placePartitions(
  demand: Demand,
  preferred: readonly Site[],
): PartitionPlacement[] | null {
  const { level: { partitions }, layout } = demand;
  if (typeof partitions !== "number") return placeAsListed(layout, preferred, partitions);
  const fewest = Math.min(layout.partitions, preferred.length);
  const more = Array.from({ length: preferred.length - fewest + 1 }, (_, i) => fewest + i);
  const fewer = Array.from({ length: Math.max(0, fewest - 1) }, (_, i) => fewest - 1 - i);
  for (const leavesGpus of [false, true]) {
    for (const count of [...more, ...fewer]) {
      const placed = placeOver(demand, preferred, { count, leavesGpus });
      if (placed) return placed;
    }
  }
  return null;
}

/**
 * Divides the layers over the first `count` neighbours among the preferred devices that have room together, in
 * proportion to their speed, since a pipeline is as slow as its slowest stage. Unless it `leavesGpus`, a faster GPU
 * of the same node takes the layers that it has room for.
 */
function placeOver(
  { layers, layout }: Demand,
  preferred: readonly Site[],
  { count, leavesGpus }: { readonly count: number; readonly leavesGpus: boolean },
): PartitionPlacement[] | null {
  const roomy = preferred.filter((site) => layersFor(site, layout) > 0);
  for (let first = 0; first + count <= roomy.length; first++) {
    const chosen = roomy.slice(first, first + count);
    const isLeft = ({ kind, node }: Site) =>
      kind === "gpu" && chosen.some((site) => site.node === node);
    if (!leavesGpus && roomy.slice(0, first).some(isLeft)) continue;
    const shares = chosen.map((site) => ({
      weight: site.speed,
      most: Math.min(layers, layersFor(site, layout)),
    }));
    const counts = apportion(layers, shares);
    if (!counts) continue;
    const cuts = cut(counts, chosen, layout);
    return inOrder(chosen.flatMap((site, i) => cuts[i]!.map((size) => [site, size] as const)));
  }
  return null;
}

/** Layers that a device has room for: none if a single one is too large for a WebAssembly memory. */
function layersFor(site: Site, layout: Layout): number {
  return mostLayers(site, layout) === 0 ? 0 : Math.floor(site.free / layout.layerBytes);
}

/** The most layers of one partition: a GPU has no bound but its room. */
function mostLayers({ kind }: Site, { partitionLayers }: Layout): number {
  return kind === "gpu" ? Infinity : partitionLayers;
}

/** Cuts each device's layers as finely as they must be and as was asked for, the largest first. */
function cut(counts: readonly number[], sites: readonly Site[], layout: Layout): number[][] {
  const { partitions } = layout;
  const pieces = counts.map((count, i) => Math.ceil(count / mostLayers(sites[i]!, layout)) || 1);
  const total = pieces.reduce((sum, number) => sum + number, 0);
  for (let left = partitions - total; left > 0; left--) {
    const sizes = counts.map((count, i) => pieces[i]! < count ? count / pieces[i]! : 0);
    pieces[sizes.indexOf(Math.max(...sizes))]!++;
  }
  return counts.map((count, i) => split(count, pieces[i]!).map((range) => range.count));
}

function placeAsListed(
  { layerBytes }: Layout,
  preferred: readonly Site[],
  listed: readonly PartitionConfig[],
): PartitionPlacement[] | null {
  const room = new Room(preferred);
  const placed = listed.map((hint) => room.choose(hint, hint.layers * layerBytes));
  if (placed.includes(undefined)) return null;
  return inOrder(placed.map((site, i) => [site!, listed[i]!.layers]));
}

function placeShards(
  { level, experts, layout }: Demand,
  preferred: readonly Site[],
  partitions: readonly PartitionPlacement[],
): ShardPlacement[] | null {
  const { expertShards } = level;
  const listed: readonly ShardConfig[] = typeof expertShards === "number"
    ? split(experts, shardCount(level)).map(({ first, count }) => ({
      experts: Array.from({ length: count }, (_, i) => first + i),
    }))
    : expertShards;
  const room = new Room(preferred);
  for (const part of partitions) room.use(part, part.layers.count * layout.layerBytes, 0.5);
  const placed = listed.map((hint) => room.choose(hint, hint.experts.length * layout.expertBytes));
  if (placed.includes(undefined)) return null;
  return placed.map((site, i) => {
    const { node, device } = site!;
    return { node, device, experts: listed[i]!.experts };
  });
}

/** The room that is left while the parts of one replica are placed, and how they spread. */
class Room {
  readonly #sites: readonly { readonly site: Site; free: number; uses: number }[];

  constructor(preferred: readonly Site[]) {
    this.#sites = preferred.map((site) => ({ site, free: site.free, uses: 0 }));
  }

  /** The site that a hint names, if it is there and has room; else the one with room that is used least. */
  choose(hint: Hint, bytes: number): Site | undefined {
    const roomy = this.#sites.filter(({ free }) => free >= bytes);
    const asked = roomy.filter(({ site }) => matches(hint, site));
    const open = asked.length > 0 ? asked : roomy;
    const least = Math.min(...open.map(({ uses }) => uses));
    const chosen = open.find(({ uses }) => uses === least)?.site;
    if (chosen) this.use(chosen, bytes);
    return chosen;
  }

  use(place: Place, bytes: number, uses = 1): void {
    const entry = this.#sites.find(({ site }) => keyOf(site) === keyOf(place));
    if (!entry) return;
    entry.free -= bytes;
    entry.uses += uses;
  }
}

function matches({ node, device }: Hint, place: Place): boolean {
  return (node ?? place.node) === place.node && (device ?? place.device) === place.device;
}

function inOrder(pieces: readonly (readonly [Place, number])[]): PartitionPlacement[] {
  let first = 0;
  return pieces.map(([{ node, device }, count]) => {
    const layers = { first, count };
    first += count;
    return { node, device, layers };
  });
}
