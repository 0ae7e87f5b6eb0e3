import type { ActorRef } from "../../runtime/mod.ts";
import type { RouterProtocol } from "../protocol.ts";

/** Where the routers of the families are, as far as it is known now. */
export interface RouterDirectory {
  /** Names of the families that are served; empty = none yet. */
  readonly families: readonly string[];
  /** The routers of a family that are thought to be alive; empty = none. */
  routersOf(family: string): readonly ActorRef<RouterProtocol>[];
}

/** A directory that never changes: one router a family. */
export function fixedRouters(
  routers: ReadonlyMap<string, ActorRef<RouterProtocol>>,
): RouterDirectory {
  const lists = new Map([...routers].map(([family, router]) => [family, [router]]));
  return {
    families: [...routers.keys()],
    routersOf: (family) => lists.get(family) ?? [],
  };
}
