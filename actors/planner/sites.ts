import type { DeviceFacts, NodeFacts, Place } from "../node_protocol.ts";

/** A device that can take work, and the memory that it has left. */
export interface Site extends Place {
  /** Bytes that are not taken yet. */
  readonly free: number;
  /** What computes, such as `cpu` or `gpu`. */
  readonly kind: string;
  /** Bytes of weights that it works through in a second. */
  readonly speed: number;
  /** Content hashes of the models whose files its node has. */
  readonly models: ReadonlySet<string>;
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** The devices of a cluster that can take work. */
export class Sites {
  readonly #sites: ReadonlyMap<string, Mutable<Site>>;

  /** A copy of these. */
  constructor(sites: Iterable<Site>) {
    this.#sites = new Map([...sites].map((site) => [keyOf(site), { ...site }]));
  }

  /** The devices of nodes that are not draining. */
  static of(nodes: ReadonlyMap<string, NodeFacts>): Sites {
    const open = [...nodes].filter(([, { draining }]) => !draining);
    return new Sites(open.flatMap(([node, { devices, models }]) => {
      const hashes = new Set(models.map(({ hash }) => hash));
      return devices.map((device) => siteOf(node, device, hashes));
    }));
  }

  /** All of them. */
  get all(): Site[] {
    return [...this.#sites.values()];
  }

  /** Whether a place is among them. */
  has(place: Place): boolean {
    return this.#sites.has(keyOf(place));
  }

  /** Takes memory of a place, if it is among them. */
  take(place: Place, bytes: number): void {
    const site = this.#sites.get(keyOf(place));
    if (site) site.free -= bytes;
  }

  /** The same sites, to try something out on. */
  copy(): Sites {
    return new Sites(this.#sites.values());
  }
}

/** One place as text. */
export function keyOf({ node, device }: Place): string {
  return `${node}/${device}`;
}

function siteOf(node: string, device: DeviceFacts, models: ReadonlySet<string>): Site {
  const { name, kind, memory, speed } = device;
  return { node, device: name, kind, free: memory, speed, models };
}
