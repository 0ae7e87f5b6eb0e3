import type { Bench } from "../harness.ts";
import { benchLocal } from "./local.ts";
import { benchThread } from "./threads.ts";

/** What messages cost: inside an isolate and to a Worker thread. */
export const bench: Bench = {
  name: "actors",
  description: "Messages per second in one isolate, round trips to a thread, memory of actors",
  async run({ quick, log }) {
    log("Local messages ...");
    const local = await benchLocal(quick ? 1 : 5, quick ? 100_000 : 500_000);
    log("Round trips to a thread ...");
    const thread = await benchThread(quick ? 200 : 2000, quick ? 50 : 300);
    const row = (what: string, value: number | null, digits: number) => [
      what,
      value === null ? "-" : value.toFixed(digits),
    ];
    return {
      table: [
        ["figure", "value"],
        row("local tells/s", local.tellsPerS, 0),
        row("local asks/s, 64 askers", local.asksPerS, 0),
        row("local asks/s, one asker", local.sequentialAsksPerS, 0),
        row("thread ask, us", thread.askUs, 1),
        row("thread 1 MiB tensor there and back, us", thread.tensor1MibUs, 1),
        row("memory of 1,000 actors, MB", local.mbPer1000Actors, 2),
      ],
      json: {
        local_tells_per_s: local.tellsPerS,
        local_asks_per_s: local.asksPerS,
        local_asks_per_s_one_asker: local.sequentialAsksPerS,
        thread_ask_us: thread.askUs,
        thread_tensor_1mib_us: thread.tensor1MibUs,
        memory_per_1000_actors_mb: local.mbPer1000Actors,
      },
    };
  },
};
