import { ActorError } from "./errors.ts";
import type { Letter } from "./letter.ts";
import type { Mailbox } from "./mailbox.ts";
import type { TerminationReason } from "./ref.ts";

/** The error for what a mailbox does not take. */
export function full(
  address: string,
  mailbox: Mailbox,
  code: "Overloaded" | "TooLarge",
): ActorError {
  const { messages, bytes, retryAfterMs } = mailbox.limits;
  if (code === "TooLarge") {
    return new ActorError(code, `Message exceeds the mailbox's bytes (${bytes}): ${address}`);
  }
  return new ActorError(
    code,
    `Mailbox is full (${messages} messages, ${bytes} bytes): ${address}`,
    {
      retryAfterMs,
      details: { messages: mailbox.size, bytes: mailbox.bytes },
    },
  );
}

/** The error for what an actor that is no more leaves behind. */
export function terminated(
  address: string,
  reason: TerminationReason | null,
  retryable: boolean,
): ActorError {
  const why = reason?.type === "Failed" ? ` (${reason.message})` : "";
  return new ActorError("Terminated", `Actor has terminated${why}: ${address}`, { retryable });
}

/** The error for a method that an actor does not have. */
export function noSuchMethod(address: string, method: string): ActorError {
  const name = JSON.stringify(method).slice(0, 120);
  return new ActorError("NoRoute", `No such method of ${address}: ${name}`, { retryable: false });
}

/** The error for a stream that was asked for as an answer, or the other way round. */
export function wrongMode({ stream, method }: Letter): ActorError {
  return new ActorError(
    "Denied",
    `Method ${stream ? "is not a stream" : "is a stream"}: ${method}`,
  );
}
