import type { PartName, Place, ReplicaPlacement } from "../node_protocol.ts";

/** One part of a replica, and where it belongs. */
export interface Part {
  /** Which part it is. */
  readonly name: PartName;
  /** The device that it belongs on. */
  readonly place: Place;
  /** The address of its actor. */
  readonly address: string;
}

/** All parts of a replica, in the order in which they are brought up: what others stand on first. */
export function partsOf(placement: ReplicaPlacement): Part[] {
  const { host, partitions, shards } = placement;
  return [
    ...shards.map((place, index) => part(placement, { kind: "experts", index }, place)),
    ...partitions.map((place, index) => part(placement, { kind: "partition", index }, place)),
    part(placement, { kind: "replica", index: 0 }, host),
  ];
}

/** The id of a part's actor. */
export function partId({ id }: ReplicaPlacement, { kind, index }: PartName): string {
  return kind === "replica" ? id : `${id}-${index}`;
}

/** The addresses that a part is given: of a replica's partitions, or of a partition's expert shards. */
export function standsOn(placement: ReplicaPlacement, { kind }: PartName): string[] {
  const below = { replica: "partition", partition: "experts", experts: null }[kind];
  return partsOf(placement).filter(({ name }) => name.kind === below).map(({ address }) => address);
}

/** The devices that a replica lies on, with repeats. */
export function placesOf({ host, partitions, shards }: ReplicaPlacement): Place[] {
  return [host, ...partitions, ...shards];
}

/** A level among all levels of a cluster. */
export function levelKey({ family, level }: Pick<ReplicaPlacement, "family" | "level">): string {
  return `${family}/${level}`;
}

/** A name as a part of an address, where a dot would separate. */
export function actorName(name: string): string {
  return name.replaceAll(".", "_");
}

function part(placement: ReplicaPlacement, name: PartName, { node, device }: Place): Part {
  const address = `${node}/${device}/${name.kind}/${partId(placement, name)}`;
  return { name, place: { node, device }, address };
}
