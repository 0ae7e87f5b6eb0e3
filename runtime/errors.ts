/** Everything that can go wrong with a message, as one closed union that survives the wire. */

/** What went wrong. */
export type ActorErrorCode =
  | "Timeout"
  | "NoRoute"
  | "Overloaded"
  | "Moved"
  | "Terminated"
  | "TooLarge"
  | "Denied"
  | "Cancelled"
  | "AppError";

const codes: ReadonlySet<string> = new Set<ActorErrorCode>([
  "Timeout",
  "NoRoute",
  "Overloaded",
  "Moved",
  "Terminated",
  "TooLarge",
  "Denied",
  "Cancelled",
  "AppError",
]);

const retryableByDefault: ReadonlySet<string> = new Set(["NoRoute", "Overloaded", "Moved"]);

const maxMessageLength = 4096;

/** The optional parts of an `ActorError`. */
export interface ActorErrorOptions {
  /** True only if the message was certainly not carried out and may succeed later. */
  readonly retryable?: boolean;
  /** When to try again, in milliseconds from now. */
  readonly retryAfterMs?: number;
  /** Plain data for the caller. */
  readonly details?: unknown;
  /** What led to it. It stays on this side of the wire. */
  readonly cause?: unknown;
}

/** An error as plain data: what travels between lanes. */
export interface WireError {
  readonly code: ActorErrorCode;
  readonly message: string;
  readonly retryable: boolean;
  readonly retryAfterMs?: number;
  readonly details?: unknown;
}

/**
 * The only error that `tell`, `ask` and `stream` throw. A handler that throws one refuses its
 * message and lives on; whatever else a handler throws is a crash.
 */
export class ActorError extends Error {
  /** The name of the class. */
  /** The name of the class. */
  override readonly name = "ActorError";
  /** What went wrong. */
  readonly code: ActorErrorCode;
  /** Whether the same message, certainly not carried out, may succeed later. */
  readonly retryable: boolean;
  /** When to try again, in milliseconds from now, if that is known. */
  readonly retryAfterMs: number | undefined;
  /** Plain data for the caller. */
  readonly details: unknown;

  /** Makes the error of a code; `retryable` follows from the code unless it is given. */
  constructor(code: ActorErrorCode, message: string, options: ActorErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.retryable = options.retryable ?? retryableByDefault.has(code);
    this.retryAfterMs = options.retryAfterMs;
    this.details = options.details;
  }
}

/** Refuses the message in hand with an `AppError`: the asker gets it, and the actor lives on. */
export function reject(message: string, options: ActorErrorOptions = {}): never {
  throw new ActorError("AppError", message, options);
}

/** Any thrown value as an `ActorError`: what is not one becomes an `AppError` with its message. */
export function toActorError(thrown: unknown): ActorError {
  if (thrown instanceof ActorError) return thrown;
  const message = thrown instanceof Error ? `${thrown.name}: ${thrown.message}` : String(thrown);
  return new ActorError("AppError", message, { cause: thrown });
}

/** The plain data of an error: no stack, no cause. */
export function errorToWire(error: ActorError): WireError {
  return {
    code: error.code,
    message: error.message.slice(0, maxMessageLength),
    retryable: error.retryable,
    ...(error.retryAfterMs === undefined ? {} : { retryAfterMs: error.retryAfterMs }),
    ...(error.details === undefined ? {} : { details: error.details }),
  };
}

/** The error that plain data from another lane stands for; malformed data gives an `AppError`. */
export function errorFromWire(wire: unknown): ActorError {
  if (typeof wire !== "object" || wire === null) return new ActorError("AppError", "Unknown error");
  const { code, message, retryable, retryAfterMs, details } = wire as Record<string, unknown>;
  const known = typeof code === "string" && codes.has(code) ? code as ActorErrorCode : "AppError";
  return new ActorError(known, typeof message === "string" ? message : "Unknown error", {
    ...(typeof retryable === "boolean" ? { retryable } : {}),
    ...(typeof retryAfterMs === "number" ? { retryAfterMs } : {}),
    details,
  });
}
