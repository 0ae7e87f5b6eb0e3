import { defineActor, type WireTensor } from "../../runtime/mod.ts";

/** What the bench asks of the other process. */
export interface SinkProtocol {
  /** Answers the message. */
  echo(message: Uint8Array): Uint8Array;
  /** Takes a tensor and answers its last element. */
  last(tensor: WireTensor): number;
}

/** The actor at the other end. */
export const Sink = defineActor<SinkProtocol, null>({
  kind: "sink",
  start: () => null,
  receive: {
    echo: (_, message) => message,
    last: (_, { data }) => Number(data.at(-1)),
  },
});

/** Subjects under which the other process does the same without actors. */
export const subjects = { echo: "bench.echo", last: "bench.last" } as const;
