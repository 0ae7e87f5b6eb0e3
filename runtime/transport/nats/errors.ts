import { AuthorizationError, TimeoutError } from "@nats-io/nats-core";
import { ActorError } from "../../errors.ts";
import { formatServer, type ServerUrl } from "./options.ts";

/** The error of a connection that could not be made; `why` is how its latest socket ended. */
export function loginError(
  thrown: unknown,
  why: string,
  servers: readonly ServerUrl[],
): ActorError {
  const where = servers.map(formatServer).join(", ");
  if (thrown instanceof ActorError) return thrown;
  if (thrown instanceof AuthorizationError) {
    return new ActorError("Denied", `Cannot log in to NATS (${thrown.message}): ${where}`);
  }
  const reason = thrown instanceof TimeoutError ? `no answer in time, ${why}` : reasonOf(thrown);
  return new ActorError("NoRoute", `Cannot connect to NATS (${reason}): ${where}`, {
    cause: thrown,
  });
}

/** What a thrown value says. */
export function reasonOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}
