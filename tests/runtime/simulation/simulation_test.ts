import assert from "node:assert/strict";
import { checkHistory, type HistoryEvent, ofType } from "./history.ts";
import { simulateMessages } from "./messages.ts";

const seeds = Number(Deno.env.get("SIMULATION_SEEDS") ?? 1000);
const firstSeed = Number(Deno.env.get("SIMULATION_FIRST_SEED") ?? 0);

Deno.test(`a cluster in trouble keeps its guarantees, for ${seeds} seeds`, async () => {
  const totals = { handled: 0, answered: 0, failed: 0, took: 0, obeyed: 0, paused: 0 };
  for (let seed = firstSeed; seed < firstSeed + seeds; seed++) {
    try {
      const history = await simulateMessages(seed);
      for (const type of Object.keys(totals) as (keyof typeof totals)[]) {
        totals[type] += ofType(history, type).length;
      }
    } catch (error) {
      throw new Error(`Seed ${seed} breaks a guarantee`, { cause: error });
    }
  }
  for (const [what, times] of Object.entries(totals)) {
    assert.ok(times > seeds / 3, `too little happened: ${what} ${times}`);
  }
});

Deno.test("a simulated cluster repeats itself for the same seed", async () => {
  assert.deepEqual(await simulateMessages(3), await simulateMessages(3));
});

Deno.test("checkHistory() finds each breach", () => {
  const sent = (n: number): HistoryEvent => ({ type: "sent", n, from: "a", deadline: 10 });
  const handled = (n: number, at = 5): HistoryEvent => ({ type: "handled", n, by: "x", at });
  const failed = (n: number, at: number): HistoryEvent => {
    return { type: "failed", n, at, code: "NoRoute", retryable: true };
  };
  const took = (epoch: number, at: number): HistoryEvent => {
    return { type: "took", holder: `h${epoch}`, epoch, at };
  };
  const breaches: [RegExp, HistoryEvent[]][] = [
    [/never sent/, [handled(1)]],
    [/handled twice/, [sent(1), handled(1), handled(1)]],
    [/out of order/, [sent(1), sent(2), handled(2), handled(1)]],
    [/handled at 11/, [sent(1), handled(1, 11)]],
    [/answered at 11/, [sent(1), handled(1), { type: "answered", n: 1, at: 11 }]],
    [/never handled/, [sent(1), { type: "answered", n: 1, at: 5 }]],
    [/failed at 31/, [sent(1), failed(1, 31)]],
    [/settled twice/, [sent(1), failed(1, 5), failed(1, 6)]],
    [/retryable, but handled/, [sent(1), handled(1), failed(1, 6)]],
    [/epoch 2 at 9 before the end/, [took(1, 5), took(2, 9)]],
    [/epoch 1 after 2/, [took(2, 5), took(1, 9)]],
    [/obeyed epoch 1 after 2/, [{ type: "obeyed", epoch: 2, at: 1 }, {
      type: "obeyed",
      epoch: 1,
      at: 2,
    }]],
  ];
  for (const [message, history] of breaches) {
    assert.throws(() => checkHistory(history), message);
  }
  const paused = { type: "paused", node: "a", at: 8, until: 40 } as const;
  checkHistory([sent(1), failed(1, 40), paused]);
});
