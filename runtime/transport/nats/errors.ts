import { AuthorizationError, TimeoutError } from "@nats-io/nats-core";
import { ActorError } from "../../errors.ts";
import { formatServer, type NatsSettings } from "./options.ts";

/** The error of a connection that could not be made; `why` is how its latest socket ended. */
export function loginError(
  thrown: unknown,
  why: string,
  { servers, tls }: NatsSettings,
): ActorError {
  const where = servers.map(formatServer).join(", ");
  if (thrown instanceof ActorError) return thrown;
  if (thrown instanceof AuthorizationError) {
    return new ActorError("Denied", `Cannot log in to NATS (${thrown.message}): ${where}`);
  }
  // A server that misses a certificate just closes, and says why in an alert that may come or not.
  const isShown = servers.every(({ scheme }) => scheme !== "tls") || tls?.certFile !== undefined;
  const hint = isShown ? "" : "; does it want a client certificate?";
  const reason = thrown instanceof TimeoutError
    ? `no answer in time, ${why}${hint}`
    : reasonOf(thrown);
  return new ActorError("NoRoute", `Cannot connect to NATS (${reason}): ${where}`, {
    cause: thrown,
  });
}

/** What a thrown value says. */
export function reasonOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}
