import { HttpError } from "./errors.ts";

/**
 * Reads a JSON body of at most `maxBytes`, stopping as soon as it is larger. Throws `HttpError` 400 or 413,
 * or the signal's reason.
 */
export async function readJson(
  request: Request,
  maxBytes: number,
  signal: AbortSignal,
): Promise<unknown> {
  const text = await readText(request, maxBytes, signal);
  if (text === "") throw invalid("Cannot read the request, its body is empty");
  try {
    return JSON.parse(text);
  } catch (error) {
    const reason = (error as Error).message.slice(0, 200);
    throw invalid(`Cannot read the request, its body is not JSON: ${reason}`);
  }
}

async function readText(request: Request, maxBytes: number, signal: AbortSignal): Promise<string> {
  if (Number(request.headers.get("content-length")) > maxBytes) {
    discard(request.body);
    throw tooLarge(maxBytes);
  }
  if (request.body === null) return "";
  const reader = request.body.getReader();
  const stop = () => void reader.cancel(signal.reason).catch(() => {});
  signal.addEventListener("abort", stop, { once: true });
  try {
    const text = await decode(reader, maxBytes);
    signal.throwIfAborted();
    return text;
  } finally {
    signal.removeEventListener("abort", stop);
  }
}

async function decode(
  reader: ReadableStreamDefaultReader<Uint8Array>,
  maxBytes: number,
): Promise<string> {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  let text = "";
  let bytes = 0;
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    bytes += part.value.length;
    if (bytes > maxBytes) {
      reader.releaseLock();
      throw tooLarge(maxBytes);
    }
    text += decodePart(decoder, part.value);
  }
  return text + decodePart(decoder);
}

function decodePart(decoder: TextDecoder, bytes?: Uint8Array): string {
  try {
    return bytes === undefined ? decoder.decode() : decoder.decode(bytes, { stream: true });
  } catch {
    throw invalid("Cannot read the request, its body is not UTF-8");
  }
}

function discard(body: ReadableStream<Uint8Array> | null): void {
  void body?.cancel().catch(() => {});
}

function invalid(message: string): HttpError {
  return new HttpError(message, { status: 400, code: "invalid_json" });
}

function tooLarge(maxBytes: number): HttpError {
  return new HttpError(`Cannot take a request of more than ${maxBytes} bytes`, {
    status: 413,
    code: "request_too_large",
  });
}
