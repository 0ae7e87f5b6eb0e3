import { type ActorRef, createSystem, type System } from "../../runtime/mod.ts";
import { median } from "../harness.ts";
import { Counter, type CounterProtocol } from "./counter.ts";

const window = 1024;

/** Figures of one isolate. */
export interface LocalFigures {
  readonly tellsPerS: number | null;
  /** Asks of many askers at a time. */
  readonly asksPerS: number | null;
  /** Asks one after another. */
  readonly sequentialAsksPerS: number | null;
  readonly mbPer1000Actors: number | null;
}

/** Times messages inside one isolate: medians over rounds, after a check of the sums. */
export async function benchLocal(rounds: number, messages: number): Promise<LocalFigures> {
  const system = createSystem({ node: "bench" });
  const counter = system.spawn(Counter, undefined);
  const works = { tell: tellAll, ask: askAll, sequential: askInTurn };
  const rates: Record<keyof typeof works, number[]> = { tell: [], ask: [], sequential: [] };
  for (let round = 0; round < rounds + 1; round++) {
    for (const [name, work] of Object.entries(works) as [keyof typeof works, typeof tellAll][]) {
      const before = await counter.ask("total");
      const start = performance.now();
      await work(counter, messages);
      const seconds = (performance.now() - start) / 1000;
      const done = await counter.ask("total") - before;
      if (done !== messages) throw new Error(`Expected ${messages} messages handled: ${done}`);
      if (round > 0) rates[name].push(messages / seconds);
    }
  }
  const mbPer1000Actors = await memory(system);
  await system.shutdown();
  return {
    tellsPerS: median(rates.tell),
    asksPerS: median(rates.ask),
    sequentialAsksPerS: median(rates.sequential),
    mbPer1000Actors,
  };
}

async function tellAll(counter: ActorRef<CounterProtocol>, messages: number): Promise<void> {
  for (let sent = 0; sent < messages; sent += window) {
    for (let n = Math.min(window, messages - sent); n > 0; n--) counter.tell("add", 1);
    await counter.ask("total");
  }
}

async function askAll(counter: ActorRef<CounterProtocol>, messages: number): Promise<void> {
  const asker = async (count: number) => {
    for (let n = 0; n < count; n++) await counter.ask("add", 1);
  };
  const askers = 64;
  const share = Math.floor(messages / askers);
  const shares = Array.from({ length: askers }, (_, i) => i === 0 ? messages - share * 63 : share);
  await Promise.all(shares.map(asker));
}

async function askInTurn(counter: ActorRef<CounterProtocol>, messages: number): Promise<void> {
  for (let n = 0; n < messages; n++) await counter.ask("add", 1);
}

async function memory(system: System): Promise<number> {
  const actors = 10_000;
  const before = Deno.memoryUsage().heapUsed;
  const refs = Array.from({ length: actors }, () => system.spawn(Counter, undefined));
  await Promise.all(refs.map((ref) => ref.ask("add", 1)));
  const used = Deno.memoryUsage().heapUsed - before;
  return used / actors * 1000 / 2 ** 20;
}
