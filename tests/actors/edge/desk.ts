/** A desk of a cluster of two nodes, and edges that find it. */
import type { DeskProtocol } from "../../../actors/desk_protocol.ts";
import type { ClusterStatus } from "../../../actors/node_protocol.ts";
import { createSystem, defineActor, reject, systemClock } from "../../../runtime/mod.ts";
import { silent } from "./routers.ts";
import { type Harness, type HarnessOptions, withEdge } from "./support.ts";

const limits = { tokens: 1, sequences: 1, waiting: 1, context: 1, pages: 1, pageSize: 16 };

const status: ClusterStatus = {
  node: "router:a",
  leader: "router:a",
  epoch: 3,
  refused: { old: "it speaks protocols 0 to 0" },
  nodes: [
    {
      node: "worker:w",
      version: "0.1.0",
      devices: [{ name: "cpu", kind: "cpu", memory: 16e9, speed: 23.4e9 }],
      models: [{
        hash: "sha256:giant",
        layers: 8,
        experts: 0,
        weightBytes: 1,
        expertBytes: 0,
        tokenBytes: 1,
        maxPositions: 96,
      }],
      families: [],
      parts: [
        { address: "worker:w/cpu/partition/x-0", replica: "x" },
        {
          address: "n/main/replica/a",
          replica: "x",
          placement: {
            id: "x",
            family: "zoo",
            level: "giant",
            model: "sha256:giant",
            limits,
            host: { node: "worker:w", device: "cpu" },
            partitions: [
              { node: "worker:w", device: "cpu", layers: { first: 0, count: 5 } },
              { node: "router:a", device: "cpu", layers: { first: 5, count: 3 } },
            ],
            shards: [{ node: "worker:w", device: "cpu", experts: [0, 2] }],
          },
        },
      ],
      revision: 1,
      draining: true,
    },
    {
      node: "router:a",
      version: "0.1.0",
      devices: [],
      models: [],
      families: [],
      parts: [],
      revision: 1,
      draining: false,
    },
  ],
};

/** An edge that finds a desk; `drained` holds the nodes that the desk was asked to drain, and families that it was asked to remove; `problems` is what all nodes tell of. */
export async function withDesk(
  body: (harness: Harness, drained: string[]) => Promise<void>,
  options: HarnessOptions = {},
  problems: readonly string[] = [],
): Promise<void> {
  const drained: string[] = [];
  const system = createSystem({ node: "router:a", log: silent });
  const desk = system.spawn(
    defineActor<DeskProtocol, null>({
      kind: "desk",
      start: () => null,
      receive: {
        status: () => ({
          ...status,
          nodes: status.nodes.map((node) => problems.length > 0 ? { ...node, problems } : node),
        }),
        drain: (_, node) => {
          if (!status.nodes.some((member) => member.node === node)) {
            reject("Cannot find the node: x", { details: { status: 404, code: "node_not_found" } });
          }
          drained.push(node);
        },
        removeFamily: (_, name) => {
          if (name !== "zoo") {
            reject("Cannot find it", { details: { status: 404, code: "family_not_found" } });
          }
          drained.push(`family ${name}`);
        },
      },
    }),
    undefined,
  );
  const clock = systemClock();
  await withEdge((harness) => body(harness, drained), {
    clock,
    findDesks: () => [system.ref("router:a/main/desk/gone"), desk],
    ...options,
  });
  await system.shutdown();
}
