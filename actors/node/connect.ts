import { connectNats, createNatsStore, type Logger, type NatsOptions } from "../../runtime/mod.ts";
import type { ClusterConfig } from "../config/mod.ts";
import type { NodeOptions } from "./node.ts";

/** The bucket in which a cluster keeps its leases. */
const BUCKET = "tandem";

/** How long is waited for a cluster. */
export interface ConnectOptions {
  /** Where it is said that and why it is waited. */
  readonly log: Logger;
  /** Ends the wait. */
  readonly signal: AbortSignal;
}

/** What a node needs of its cluster. */
type ClusterLane = Pick<Required<NodeOptions>, "node" | "transport" | "store">;

/**
 * Connects to the NATS servers of a cluster, however long it takes until one can be reached; `null` when the
 * signal is aborted first. Throws `ActorError` (`Denied`) when they do not let it in.
 */
export async function connectCluster(
  config: ClusterConfig,
  { log, signal }: ConnectOptions,
): Promise<ClusterLane | null> {
  const told = ({ message: why }: Error) => log.warn("Waits for NATS", { why });
  try {
    const transport = await connectNats(natsOf(config), { patience: { told, signal } });
    return { node: config.node, transport, store: createNatsStore(transport, { bucket: BUCKET }) };
  } catch (error) {
    if (signal.aborted) return null;
    throw error;
  }
}

function natsOf({ nats, node, user, nkey, ca, cert, key }: ClusterConfig): NatsOptions {
  const password = Deno.env.get("TANDEM_NATS_PASSWORD");
  return {
    servers: nats,
    name: node,
    ...(user !== undefined && { user }),
    ...(user !== undefined && password !== undefined && { password }),
    ...(nkey !== undefined && { nkeySeedFile: nkey }),
    ...((ca ?? cert ?? key) !== undefined && {
      tls: {
        ...(ca !== undefined && { caFile: ca }),
        ...(cert !== undefined && { certFile: cert }),
        ...(key !== undefined && { keyFile: key }),
      },
    }),
  };
}
