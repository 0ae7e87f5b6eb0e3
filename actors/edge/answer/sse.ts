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
  { signal, fail, ended }: EventStreamOptions,
): ReadableStream<Uint8Array> {
  let open = true;
  let ready: IteratorResult<string, void> | null = first;
  let aborted = () => {};
  const end = (how: "done" | "failed" | "cancelled", reason?: unknown) => {
    open = false;
    signal.removeEventListener("abort", aborted);
    source.return().catch(() => {});
    ended(how, reason);
  };
  const finish = (controller: Controller, data: string, reason?: unknown) => {
    end(data === lastData ? "done" : "failed", reason);
    sendLast(controller, data);
  };
  return new ReadableStream<Uint8Array>({
    start(controller) {
      aborted = () => finish(controller, fail(signal.reason), signal.reason);
      signal.addEventListener("abort", aborted, { once: true });
      if (signal.aborted) aborted();
    },
    async pull(controller) {
      try {
        const { value = lastData } = ready ?? await source.next();
        ready = null;
        if (!open) return;
        if (value === lastData) finish(controller, value);
        else controller.enqueue(encode(value));
      } catch (error) {
        if (open) finish(controller, fail(error), error);
      }
    },
    cancel(reason) {
      if (open) end("cancelled", reason);
    },
  }, { highWaterMark: 0 });
}

type Controller = ReadableStreamDefaultController<Uint8Array>;

/** Sends and closes. The reader may go away while it is handed the data, which closes the stream too. */
function sendLast(controller: Controller, data: string): void {
  try {
    controller.enqueue(encode(data));
    controller.close();
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
  }
}

function encode(data: string): Uint8Array {
  return encoder.encode(`data: ${data}\n\n`);
}
