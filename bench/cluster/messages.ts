import { connect } from "@nats-io/transport-node";
import { connectNats, createSystem } from "../../runtime/mod.ts";
import { type BenchOptions, type BenchReport, median } from "../harness.ts";
import { JsonLineChild } from "../json_lines.ts";
import type { NatsServer } from "../nats_server.ts";
import { Sink, type SinkProtocol, subjects } from "./sink.ts";

/** The same work by both ways. */
interface Ways {
  readonly bare: () => Promise<unknown>;
  readonly actor: () => Promise<unknown>;
}

const tensor = Float32Array.from({ length: 1 << 18 }, (_, i) => i);
const inFlight = 4;

/** How much is sent in one round: little, so that whatever else the machine does meets both ways alike. */
const each = { asks: 50, tensors: 12 } as const;

/** Rounds that do not count: until the code is compiled. */
const warmUp = 10;

/**
 * What actors add to bare NATS (`@nats-io/transport-node`), from one process to another through one
 * server. Both ways are timed in turn, in many short rounds; ratios are medians over the rounds.
 */
export async function benchMessages(
  { quick, log }: BenchOptions,
  server: NatsServer,
): Promise<BenchReport> {
  log("Messages between nodes ...");
  const script = new URL("./messages_child.ts", import.meta.url).pathname;
  const child = new JsonLineChild(Deno.execPath(), ["run", "-A", script, server.url]);
  const bare = await connect({ servers: server.url });
  const system = createSystem({
    node: "asker",
    transport: await connectNats({ servers: [server.url] }),
  });
  try {
    await child.call("ready");
    const sink = system.ref<SinkProtocol>(`answerer/main/${Sink.kind}/sink`);
    const payload = new Uint8Array(64).fill(7);
    const asks = {
      bare: () => bare.request(subjects.echo, payload, { timeout: 10_000 }),
      actor: () => sink.ask("echo", payload),
    };
    const message = { dtype: "f32", shape: [512, 512], data: tensor } as const;
    const bytes = new Uint8Array(tensor.buffer);
    const tensors = {
      bare: async () =>
        checkLast((await bare.request(subjects.last, bytes, { timeout: 10_000 })).json()),
      actor: async () => checkLast(await sink.ask("last", message)),
    };
    const rounds = quick ? 15 : 150;
    return report(
      await inTurn(rounds, asks, (ask) => latencyUs(each.asks, ask)),
      await inTurn(rounds, tensors, (send) => rateMbS(each.tensors, send)),
    );
  } finally {
    await child.close();
    await bare.close();
    await system.shutdown();
  }
}

/** One figure a round for each way. */
type Figures = Readonly<Record<keyof Ways, number[]>>;

/** Times both ways in turn, after rounds that do not count; who begins alternates. */
async function inTurn(
  rounds: number,
  ways: Ways,
  time: (work: () => Promise<unknown>) => Promise<number>,
): Promise<Figures> {
  const figures: Figures = { bare: [], actor: [] };
  for (let round = -warmUp; round < rounds; round++) {
    const order = round % 2 === 0 ? ["bare", "actor"] as const : ["actor", "bare"] as const;
    for (const way of order) {
      const figure = await time(ways[way]);
      if (round >= 0) figures[way].push(figure);
    }
  }
  return figures;
}

async function latencyUs(count: number, work: () => Promise<unknown>): Promise<number> {
  const samples: number[] = [];
  for (let n = 0; n < count; n++) {
    const start = performance.now();
    await work();
    samples.push((performance.now() - start) * 1000);
  }
  return median(samples)!;
}

async function rateMbS(count: number, work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  let left = count;
  const one = async () => {
    while (left-- > 0) await work();
  };
  await Promise.all(Array.from({ length: inFlight }, one));
  return count * tensor.byteLength / 1e6 / ((performance.now() - start) / 1000);
}

function checkLast(last: unknown): void {
  if (last !== tensor.at(-1)) throw new Error(`Expected the last element of the tensor: ${last}`);
}

function ratio({ bare, actor }: Figures): number | null {
  return median(actor.map((figure, round) => figure / bare[round]!));
}

function report(asks: Figures, tensors: Figures): BenchReport {
  const overhead = ratio(asks);
  const bulk = ratio(tensors);
  const row = (what: string, value: number | null, digits: number) => [
    what,
    value === null ? "-" : value.toFixed(digits),
  ];
  return {
    table: [
      ["figure", "value"],
      row("bare NATS request of 64 B, p50 us", median(asks.bare), 0),
      row("actor ask of 64 B between nodes, p50 us", median(asks.actor), 0),
      row("ask over bare request", overhead, 2),
      row("bare NATS, 1 MiB tensors, MB/s", median(tensors.bare), 0),
      row("actors, 1 MiB tensors, MB/s", median(tensors.actor), 0),
      row("actors over bare, 1 MiB tensors", bulk, 2),
    ],
    json: {
      nats_request_us: median(asks.bare),
      remote_ask_us: median(asks.actor),
      ask_overhead_ratio: overhead,
      nats_bulk_mb_s: median(tensors.bare),
      remote_bulk_mb_s: median(tensors.actor),
      bulk_ratio: bulk,
    },
  };
}
