import { parseAddress } from "../address.ts";
import type { Offer } from "./announcement.ts";
import type { Membership } from "./membership.ts";

/**
 * Where actors are, by the names under which live nodes offer them. Soft state: it is read off the members'
 * announcements, so that nothing has to be stored and nothing can be stale for longer than a heartbeat.
 */
export class Directory {
  readonly #membership: Membership;

  /** Reads off a membership. */
  constructor(membership: Membership) {
    this.#membership = membership;
  }

  /** All offers of a name; those of this node first. A node can only offer its own actors. */
  find(name: string): Offer[] {
    return this.#membership.members.flatMap(({ node, offers }) =>
      offers.filter((offer) => offer.name === name && parseAddress(offer.address).node === node)
    );
  }

  /** Calls back with the offers of a name now and whenever a member changes. The answer ends that. */
  follow(name: string, callback: (offers: Offer[]) => void): () => void {
    callback(this.find(name));
    return this.#membership.on(({ type }) => {
      if (type === "joined" || type === "changed" || type === "left") callback(this.find(name));
    });
  }
}
