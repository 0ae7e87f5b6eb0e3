import { type NatsServer, startNats } from "../nats_server.ts";
import { bench as actors } from "../actors/mod.ts";
import type { Bench, BenchOptions, BenchReport } from "../harness.ts";
import { benchMessages } from "./messages.ts";

/** One part of the bench: it gets a server of its own. */
type Part = (options: BenchOptions, server: NatsServer) => Promise<BenchReport>;

const parts: readonly Part[] = [benchMessages];

/** What a cluster costs: messages between nodes against bare NATS, and inside a node. */
export const bench: Bench = {
  name: "cluster",
  description: "Messages between nodes over NATS, against bare NATS, and inside a node",
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
