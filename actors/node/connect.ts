import { connectNats, createNatsStore } from "../../runtime/mod.ts";
import type { ClusterConfig } from "../config/mod.ts";
import type { NodeOptions } from "./node.ts";

/** The bucket in which a cluster keeps its leases. */
const BUCKET = "tandem";

/** Connects to the NATS servers of a cluster. Throws `ActorError`: `NoRoute`, `Denied`. */
export async function connectCluster(
  { nats, node, user, nkey, ca, cert, key }: ClusterConfig,
): Promise<Pick<Required<NodeOptions>, "node" | "transport" | "store">> {
  const password = Deno.env.get("TANDEM_NATS_PASSWORD");
  const transport = await connectNats({
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
  });
  return { node, transport, store: createNatsStore(transport, { bucket: BUCKET }) };
}
