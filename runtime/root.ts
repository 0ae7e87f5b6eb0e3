import { type ActorDefinition, type AnyActorDefinition, defineActor } from "./actor.ts";
import { reject } from "./errors.ts";

/** What each lane's root actor does for other lanes. */
export interface RootProtocol {
  /** Starts an actor of an offered kind, and answers its address once it has started. */
  spawn(order: { kind: string; args?: unknown; id?: string }): string;
  /** Stops an actor of this lane. */
  stop(address: string): void;
  /** Stops all actors of this lane, once nothing is in work or after `drainMs`. */
  stopAll(drainMs: number): void;
}

/** The kind of every lane's root actor, and its id. */
export const rootKind = "system";
export const rootId = "root";

/** The root actor of a lane that offers these kinds. */
export function defineRoot(
  kinds: readonly AnyActorDefinition[],
  stopAll: (drainMs: number) => Promise<void>,
): ActorDefinition<RootProtocol, Map<string, AnyActorDefinition>, undefined> {
  return defineActor<RootProtocol, Map<string, AnyActorDefinition>>({
    kind: rootKind,
    concurrent: ["spawn", "stop", "stopAll"],
    checks: {
      spawn: (order) => {
        const { kind, id } = Object(order) as { kind?: unknown; id?: unknown };
        expectType("kind", kind, "string");
        if (id !== undefined) expectType("id", id, "string");
      },
      stop: (address) => expectType("address", address, "string"),
      stopAll: (drainMs) => expectType("drainMs", drainMs, "number"),
    },
    start: () => new Map(kinds.map((kind) => [kind.kind, kind])),
    receive: {
      async spawn(offered, { kind, args, id }, { system }) {
        const definition = offered.get(kind);
        if (!definition) return reject(`No such kind on ${system.node}/${system.lane}: ${kind}`);
        const ref = system.spawn(definition, args, id === undefined ? {} : { id });
        await system.ready(ref);
        return ref.address;
      },
      stop: (_, address, { system }) => system.stop({ address }),
      stopAll: (_, drainMs) => stopAll(drainMs),
    },
  });
}

function expectType(what: string, value: unknown, type: "string" | "number"): void {
  if (typeof value !== type) reject(`Cannot take the message, ${what} must be a ${type}`);
}
