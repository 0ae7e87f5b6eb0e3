import { type ActorRef, type Membership, roleOf, type System } from "../../../runtime/mod.ts";
import type { RouterProtocol } from "../../protocol.ts";
import type { RouterDirectory } from "../routers.ts";

const offerPrefix = "router/";

/** Roles whose nodes have no business with routers: what they offer as one is an attempt to be one. */
const strangers: ReadonlySet<string> = new Set(["worker", "edge"]);

/**
 * The routers that the members of a cluster offer as `router/FAMILY`. A server that lets nodes announce
 * themselves only under their own role makes sure that no worker is among them.
 */
export function memberRouters(membership: Membership, system: System): RouterDirectory {
  const offers = () =>
    membership.members
      .filter(({ node }) => !strangers.has(roleOf(node)))
      .flatMap(({ node, offers }) =>
        offers.filter(({ address }) => address.startsWith(`${node}/`))
      );
  return {
    get families() {
      const names = offers().map(({ name }) => name).filter((name) => name.startsWith(offerPrefix));
      return [...new Set(names)].map((name) => name.slice(offerPrefix.length)).sort();
    },
    routersOf: (family): readonly ActorRef<RouterProtocol>[] =>
      offers().filter(({ name }) => name === `${offerPrefix}${family}`)
        .map(({ address }) => system.ref(address)),
  };
}
