import { ActorError } from "../../runtime/mod.ts";
import type { RefusalDetails } from "../protocol.ts";

/** The parts of an `HttpError` beside its message. */
export interface HttpErrorParts {
  readonly status: number;
  /** OpenAI's `code`: for programs. */
  readonly code: string;
  /** The parameter at fault. */
  readonly param?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** An error as a client is told it. */
export class HttpError extends Error {
  override readonly name = "HttpError";
  readonly status: number;
  readonly code: string;
  readonly param: string | null;
  readonly headers: Readonly<Record<string, string>>;

  constructor(message: string, parts: HttpErrorParts) {
    super(message);
    this.status = parts.status;
    this.code = parts.code;
    this.param = parts.param ?? null;
    this.headers = parts.headers ?? {};
  }

  /** The body in OpenAI's form. */
  body(): { error: { message: string; type: string; param: string | null; code: string } } {
    const { message, param, code } = this;
    return { error: { message, type: typeOf(this.status), param, code } };
  }

  /** The whole answer. */
  response(): Response {
    return Response.json(this.body(), { status: this.status, headers: this.headers });
  }
}

/** Status of an answer that nobody waits for any more. */
export const clientClosed = 499;

/** What a client is told of any failure. What is not the client's business becomes a plain 500. */
export function toHttpError(thrown: unknown): HttpError {
  if (thrown instanceof HttpError) return thrown;
  return thrown instanceof ActorError ? fromActor(thrown) : failed();
}

function fromActor(error: ActorError): HttpError {
  switch (error.code) {
    case "Overloaded":
      return overloaded("Cannot take more requests now, try again later", error.retryAfterMs);
    case "Timeout":
      return new HttpError("Cannot answer in time", { status: 504, code: "timeout" });
    case "NoRoute":
    case "Moved":
    case "Terminated":
    case "Denied":
      return unavailable("Cannot reach the model now, try again later", error.retryAfterMs);
    case "TooLarge":
      return new HttpError("Cannot take so large a request", { status: 413, code: "too_large" });
    case "Cancelled":
      return new HttpError("Cannot go on, the request was cancelled", {
        status: clientClosed,
        code: "cancelled",
      });
    case "AppError":
      return refusal(error);
  }
}

/** Too much to do: status 429 and when to come again. */
export function overloaded(message: string, retryAfterMs?: number): HttpError {
  return new HttpError(message, {
    status: 429,
    code: "overloaded",
    headers: retryAfter(retryAfterMs),
  });
}

/** Not there now: status 503 and when to come again. */
export function unavailable(message: string, retryAfterMs?: number): HttpError {
  return new HttpError(message, {
    status: 503,
    code: "unavailable",
    headers: retryAfter(retryAfterMs),
  });
}

function refusal(error: ActorError): HttpError {
  const details = error.details;
  if (isRefusal(details)) return new HttpError(error.message, details);
  return failed();
}

function failed(): HttpError {
  return new HttpError("Cannot answer, the server failed", { status: 500, code: "internal_error" });
}

function isRefusal(details: unknown): details is RefusalDetails {
  if (typeof details !== "object" || details === null) return false;
  const { status, code, param } = details as Partial<Record<keyof RefusalDetails, unknown>>;
  return (status === 400 || status === 404 || status === 413) && typeof code === "string" &&
    (param === undefined || typeof param === "string");
}

/** The header that says when to come again. */
export function retryAfter(milliseconds = 1000): Record<string, string> {
  return { "retry-after": String(Math.max(1, Math.ceil(milliseconds / 1000))) };
}

function typeOf(status: number): string {
  if (status === 401) return "authentication_error";
  if (status === 403) return "permission_error";
  if (status === 429) return "rate_limit_error";
  return status >= 500 ? "server_error" : "invalid_request_error";
}
