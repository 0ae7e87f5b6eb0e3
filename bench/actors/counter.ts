import { defineActor, type WireTensor } from "../../runtime/mod.ts";

/** What the bench asks of its actor. */
export interface CounterProtocol {
  add(n: number): void;
  total(): number;
  echo(tensor: WireTensor): WireTensor;
}

/** Adds up, and sends tensors back by transfer. */
export const Counter = defineActor<CounterProtocol, { total: number }>({
  kind: "counter",
  mailbox: { messages: 4096 },
  start: () => ({ total: 0 }),
  receive: {
    add: (state, n) => {
      state.total += n;
    },
    total: (state) => state.total,
    echo: (_, tensor, context) => {
      context.move([tensor.data.buffer]);
      return tensor;
    },
  },
});
