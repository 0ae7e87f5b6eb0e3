import { type NatsServer, startNats } from "../nats_server.ts";
import { bench as actors } from "../actors/mod.ts";
import type { Bench, BenchOptions, BenchReport } from "../harness.ts";
import { benchFailover } from "./failover.ts";
import { benchMessages } from "./messages.ts";
import { benchPipeline } from "./pipeline.ts";

/** One part of the bench: it gets a server of its own. */
type Part = (options: BenchOptions, server: NatsServer) => Promise<BenchReport>;

const parts: readonly Part[] = [benchMessages, benchPipeline, benchFailover];

/** What a cluster costs, and what it bears: messages, a pipeline over two nodes, nodes that are killed. */
export const bench: Bench = {
  name: "cluster",
  description: "Messages between nodes against bare NATS, a pipeline over nodes, failover",
  async run(options) {
    const reports = [await actors.run(options)];
    for (const part of parts) {
      await using server = await startNats();
      reports.push(await part(options, server));
    }
    const [header] = reports[0]!.table;
    return {
      table: [header!, ...reports.flatMap(({ table }) => table.slice(1))],
      json: Object.assign({}, ...reports.map(({ json }) => json)),
    };
  },
};
