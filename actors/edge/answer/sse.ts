/** How a stream of server-sent events ends. */
export interface EventStreamOptions {
  /** Ends the stream at once, with an error that `fail` words. */
  readonly signal: AbortSignal;
  /** The data of an error's event. */
  fail(reason: unknown): string;
  /** Called once: all sent (`done`), failed with an event (`failed`), or the reader has gone (`cancelled`). */
  ended(how: "done" | "failed" | "cancelled", reason?: unknown): void;
}

/** The data of the last event. */
export const lastData = "[DONE]";

const encoder = new TextEncoder();

/**
 * Server-sent events from data, `[DONE]` last, read only as fast as the client reads: one event at a time.
 * `first` was read from the source before. The source is told to return when the stream ends early.
 */
export function eventStream(
  first: IteratorResult<string, void>,
  source: AsyncGenerator<string, void, void>,
  options: EventStreamOptions,
): ReadableStream<Uint8Array> {
  const { signal, fail, ended } = options;
  let open = true;
  let ready: IteratorResult<string, void> | null = first;
  const end = (how: "done" | "failed" | "cancelled", reason?: unknown) => {
    open = false;
    signal.removeEventListener("abort", aborted);
    source.return().catch(() => {});
    ended(how, reason);
  };
  let aborted = () => {};
  const send = (controller: ReadableStreamDefaultController<Uint8Array>, data: string) =>
    controller.enqueue(encoder.encode(`data: ${data}\n\n`));
  return new ReadableStream<Uint8Array>({
    start(controller) {
      aborted = () => {
        if (!open) return;
        send(controller, fail(signal.reason));
        controller.close();
        end("failed", signal.reason);
      };
      signal.addEventListener("abort", aborted, { once: true });
      if (signal.aborted) aborted();
    },
    async pull(controller) {
      try {
        const { value = lastData } = ready ?? await source.next();
        ready = null;
        if (!open) return;
        send(controller, value);
        if (value !== lastData) return;
        controller.close();
        end("done");
      } catch (error) {
        if (!open) return;
        send(controller, fail(error));
        controller.close();
        end("failed", error);
      }
    },
    cancel(reason) {
      if (open) end("cancelled", reason);
    },
  }, { highWaterMark: 0 });
}
