import { type Context, defineActor, reject, type WireTensor } from "../../../runtime/mod.ts";

/** What the contract suite asks of an actor, whatever lane it is on. */
export interface ProbeProtocol {
  add(n: number): void;
  list(): number[];
  echo(message: unknown): unknown;
  double(tensor: WireTensor): WireTensor;
  /** Answers when the signal is aborted, with the code of the reason. */
  hang(): string;
  /** How the last `hang` or endless stream ended. */
  ended(): string[];
  /** The same, and holds the turn until then. */
  block(): string;
  refuse(message: string): void;
  crash(message: string): void;
  count(to: number): AsyncIterable<number>;
  countThenCrash(to: number): AsyncIterable<number>;
  /** How many items the last `count` has made. */
  made(): number;
  whoWatches(address: string): string;
  /** Writes 1 into shared memory when the actor stops. */
  signOff(shared: Int32Array): void;
  /** Throws outside any turn. */
  fail(): void;
  /** Answers what no lane but the same isolate can carry. */
  unclonable(): unknown;
}

interface State {
  readonly numbers: number[];
  readonly ended: string[];
  made: number;
  signOff?: Int32Array;
}

function aborted(signal: AbortSignal): Promise<string> {
  return new Promise((resolve) => {
    const answer = () => resolve(String((signal.reason as { code?: string }).code));
    if (signal.aborted) answer();
    else signal.addEventListener("abort", answer);
  });
}

/** The actor of the contract suite. Its mailbox holds 8 messages and 4 MiB. */
export const Probe = defineActor<ProbeProtocol, State>({
  kind: "probe",
  mailbox: { messages: 8, bytes: 4 << 20 },
  supervise: { restarts: 1, withinMs: 60_000 },
  concurrent: ["hang", "whoWatches"],
  start: () => ({ numbers: [], ended: [], made: 0 }),
  stop: (state) => void state.signOff?.fill(1),
  receive: {
    add: (state, n) => void state.numbers.push(n),
    list: (state) => state.numbers,
    echo: (_, message) => message,
    double: (_, { dtype, shape, data }, context) => {
      const doubled = (data as Float32Array).map((value) => value * 2);
      context.move([doubled.buffer]);
      return { dtype, shape, data: doubled };
    },
    async hang(state, _, context) {
      const code = await aborted(context.signal);
      state.ended.push(code);
      return code;
    },
    ended: (state) => state.ended,
    block: (_, __, context) => aborted(context.signal),
    refuse: (_, message) => reject(message, { details: { why: "asked to" }, retryable: true }),
    crash: (_, message) => {
      throw new TypeError(message);
    },
    count: (state, to, context) => numbers(state, to, context),
    async *countThenCrash(state, to, context) {
      yield* numbers(state, to, context);
      throw new TypeError("Broken stream");
    },
    made: (state) => state.made,
    async whoWatches(_, address, context) {
      const ended = Promise.withResolvers<string>();
      context.watch({ address }, (reason) => ended.resolve(reason.type));
      return await ended.promise;
    },
    signOff: (state, shared) => {
      state.signOff = shared;
    },
    fail: () => new Promise(() => setTimeout(() => reject("Outside"), 0)),
    unclonable: () => () => 1,
  },
});

async function* numbers(state: State, to: number, context: Context<ProbeProtocol>) {
  state.made = 0;
  try {
    for (let n = 0; n < to; n++) {
      state.made++;
      yield n;
      await null;
    }
  } finally {
    if (context.signal.aborted) state.ended.push("stream");
  }
}
