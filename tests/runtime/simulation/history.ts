import assert from "node:assert/strict";

/** One thing that happened in a simulated cluster, at a time of the one true clock. */
export type HistoryEvent =
  /** A message was numbered and sent: numbers grow with time. */
  | {
    readonly type: "sent";
    readonly n: number;
    readonly from: string;
    readonly deadline: number;
  }
  /** A handler began its turn. */
  | { readonly type: "handled"; readonly n: number; readonly by: string; readonly at: number }
  /** An ask got its answer. */
  | { readonly type: "answered"; readonly n: number; readonly at: number }
  /** An ask, or what should have been sent, failed. */
  | {
    readonly type: "failed";
    readonly n: number;
    readonly at: number;
    readonly code: string;
    readonly retryable: boolean;
  }
  /** A node took a lease. */
  | { readonly type: "took"; readonly holder: string; readonly epoch: number; readonly at: number }
  /** A node learnt that its lease had ended, or gave it back. */
  | { readonly type: "ended"; readonly holder: string; readonly epoch: number; readonly at: number }
  /** What the leases protect let an order of their holder by. */
  | { readonly type: "obeyed"; readonly epoch: number; readonly at: number }
  /** A process stood still for a while, or from then on. */
  | { readonly type: "paused"; readonly node: string; readonly at: number; readonly until: number };

/** How late a failure may be: timers of a process may run slow. An answer is never given late. */
const timerErrorMs = 20;

type Of<T extends HistoryEvent["type"]> = Extract<HistoryEvent, { readonly type: T }>;

/** The events of a type, in order. */
export function ofType<T extends HistoryEvent["type"]>(
  history: readonly HistoryEvent[],
  type: T,
): Of<T>[] {
  return history.filter((event): event is Of<T> => event.type === type);
}

/** Checks what the runtime guarantees of every history; throws at the first breach. */
export function checkHistory(history: readonly HistoryEvent[]): void {
  const sent = new Map(ofType(history, "sent").map((event) => [event.n, event]));
  checkDelivery(history, sent);
  checkOutcomes(history, sent);
  checkLeases(history);
}

type Sent = ReadonlyMap<number, Of<"sent">>;

/** At most once, in order per sender and receiver, not after the deadline. */
function checkDelivery(history: readonly HistoryEvent[], sent: Sent): void {
  const seen = new Set<number>();
  const last = new Map<string, number>();
  for (const { n, by, at } of ofType(history, "handled")) {
    const { from, deadline } = sent.get(n) ?? {};
    assert.ok(from !== undefined && deadline !== undefined, `handled, but never sent: ${n}`);
    assert.ok(!seen.has(n), `handled twice: ${n}`);
    seen.add(n);
    const pair = `${from} -> ${by}`;
    const before = last.get(pair) ?? -1;
    assert.ok(n > before, `out of order: ${n} after ${before} of ${pair}`);
    last.set(pair, n);
    assert.ok(at <= deadline, `handled at ${at}, after its deadline: ${deadline}`);
  }
}

/** One outcome an ask, by its deadline; answers of what was handled; no retry of what was handled. */
function checkOutcomes(history: readonly HistoryEvent[], sent: Sent): void {
  const handled = new Set(ofType(history, "handled").map(({ n }) => n));
  const pauses = ofType(history, "paused");
  const settled = new Set<number>();
  for (const event of history) {
    if (event.type !== "answered" && event.type !== "failed") continue;
    const { n, at, type } = event;
    assert.ok(!settled.has(n), `settled twice: ${n}`);
    settled.add(n);
    const { deadline, from } = sent.get(n)!;
    const end = sleptUntil(pauses, from, deadline + timerErrorMs);
    const isLate = at > (type === "answered" ? deadline : end);
    assert.ok(!isLate, `${type} at ${at}, after its deadline: ${deadline}`);
    if (type === "answered") assert.ok(handled.has(n), `answered, but never handled: ${n}`);
    else assert.ok(!event.retryable || !handled.has(n), `retryable, but handled: ${n}`);
  }
}

/** One holder at a time, but for one that stood still; epochs that grow; no order of an earlier epoch. */
function checkLeases(history: readonly HistoryEvent[]): void {
  const taken = ofType(history, "took");
  const ended = ofType(history, "ended");
  const pauses = ofType(history, "paused");
  for (const [i, { epoch, at }] of taken.entries()) {
    const before = taken[i - 1];
    if (!before) continue;
    assert.ok(epoch > before.epoch, `epoch ${epoch} after ${before.epoch}`);
    const end = ended.find((event) => event.epoch === before.epoch)?.at ?? Infinity;
    const isOver = end <= sleptUntil(pauses, before.holder, at);
    assert.ok(isOver, `epoch ${epoch} at ${at} before the end of ${before.epoch}: ${end}`);
  }
  let newest = 0;
  for (const { epoch } of ofType(history, "obeyed")) {
    assert.ok(epoch >= newest, `obeyed epoch ${epoch} after ${newest}`);
    newest = epoch;
  }
}

/** When a process that was to do something at a time could: then, or at the end of a pause. */
function sleptUntil(pauses: readonly Of<"paused">[], process: string, time: number): number {
  const pause = pauses.find(({ node, at, until }) =>
    node === process && at <= time && time <= until
  );
  return pause?.until ?? time;
}
