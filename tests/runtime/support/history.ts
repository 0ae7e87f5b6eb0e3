import assert from "node:assert/strict";

/** One thing that happened in a simulated cluster. */
export type HistoryEvent =
  | { readonly type: "handled"; readonly by: string; readonly from: string; readonly n: number }
  | { readonly type: "answered"; readonly at: number; readonly deadline: number }
  | { readonly type: "failed"; readonly code: string }
  | { readonly type: "started"; readonly at: number; readonly deadline: number };

/** Checks what the runtime guarantees of every history; throws at the first breach. */
export function checkHistory(history: readonly HistoryEvent[]): void {
  const last = new Map<string, number>();
  for (const event of history) {
    if (event.type === "handled") {
      const pair = `${event.from} -> ${event.by}`;
      const before = last.get(pair) ?? -1;
      assert.notEqual(event.n, before, `handled twice: ${event.n} of ${pair}`);
      assert.ok(event.n > before, `out of order: ${event.n} after ${before} of ${pair}`);
      last.set(pair, event.n);
    } else if (event.type === "answered" || event.type === "started") {
      assert.ok(event.at <= event.deadline, `${event.type} at ${event.at} > ${event.deadline}`);
    }
  }
}

/** How many events of a type there are. */
export function count(history: readonly HistoryEvent[], type: HistoryEvent["type"]): number {
  return history.filter((event) => event.type === type).length;
}
