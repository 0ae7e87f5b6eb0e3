import {
  type ActorRef,
  type Membership,
  type Offer,
  roleOf,
  type System,
} from "../../../runtime/mod.ts";
import { deskKind, type DeskProtocol } from "../../desk_protocol.ts";
import type { RouterProtocol } from "../../protocol.ts";
import type { RouterDirectory } from "../routers.ts";

const routerPrefix = "router/";

/** Roles whose nodes neither route nor decide: what they offer as that is an attempt to be another. */
const strangers: ReadonlySet<string> = new Set(["worker", "edge"]);

/**
 * The routers that the members of a cluster offer as `router/FAMILY`. A server that lets nodes announce
 * themselves only under their own role makes sure that no worker is among them.
 */
export function memberRouters(membership: Membership, system: System): RouterDirectory {
  return {
    get families() {
      const names = offersOf(membership).map(({ name }) => name)
        .filter((name) => name.startsWith(routerPrefix));
      return [...new Set(names)].map((name) => name.slice(routerPrefix.length)).sort();
    },
    routersOf: (family): readonly ActorRef<RouterProtocol>[] =>
      find(membership, system, `${routerPrefix}${family}`),
  };
}

/** The desks that members offer. */
export function memberDesks(
  membership: Membership,
  system: System,
): readonly ActorRef<DeskProtocol>[] {
  return find(membership, system, deskKind);
}

function find<P>(membership: Membership, system: System, wanted: string): ActorRef<P>[] {
  return offersOf(membership).filter(({ name }) => name === wanted)
    .map(({ address }) => system.ref(address));
}

/** What members offer that may: of this node first, and of each node only its own actors. */
function offersOf({ members }: Membership): readonly Offer[] {
  return members.filter(({ node }) => !strangers.has(roleOf(node)))
    .flatMap(({ node, offers }) => offers.filter(({ address }) => address.startsWith(`${node}/`)));
}
