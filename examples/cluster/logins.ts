import { nkeys } from "@nats-io/nats-core";

/** What a node may do. */
export type Role = "edge" | "worker" | "router";

/** The logins of a cluster: seeds in files that only their owner reads, public keys for the server. */
export interface Logins {
  /** The variables that `nats/nkeys.conf` reads. */
  readonly variables: Readonly<Record<string, string>>;
  /** The file with a role's seed. */
  seedFile(role: Role): string;
}

const roles: readonly Role[] = ["edge", "worker", "router"];

/** Makes a login for each role, with the seeds in `dir`. */
export async function makeLogins(dir: string): Promise<Logins> {
  const seedFile = (role: Role) => `${dir}/${role}.nkey`;
  const variables: Record<string, string> = {};
  for (const role of roles) {
    const user = nkeys.createUser();
    await Deno.writeFile(seedFile(role), user.getSeed(), { mode: 0o600 });
    variables[`TANDEM_${role.toUpperCase()}_NKEY`] = user.getPublicKey();
  }
  return { variables, seedFile };
}
