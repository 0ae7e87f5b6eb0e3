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
        expectText("kind", kind);
        if (id !== undefined) expectText("id", id);
      },
      stop: (address) => expectText("address", address),
      stopAll: (drainMs) => {
        if (typeof drainMs !== "number") {
          reject("Cannot take the message, drainMs must be a number");
        }
      },
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

function expectText(what: string, value: unknown): void {
  if (typeof value !== "string") reject(`Cannot take the message, ${what} must be a string`);
}
