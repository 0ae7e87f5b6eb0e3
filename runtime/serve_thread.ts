import type { AnyActorDefinition, System } from "./actor.ts";
import { ActorSystem, type SystemOptions } from "./system.ts";
import { type Port, PortLink } from "./transport/mod.ts";

/** What a Worker offers to the isolate that made it. */
export interface ServeThreadOptions extends Omit<SystemOptions, "node" | "transport" | "kinds"> {
  /** Kinds that can be spawned here by name. */
  readonly kinds: readonly AnyActorDefinition[];
  /** The channel; the Worker's own by default. */
  readonly port?: Port;
}

/**
 * Makes the system of a Worker thread: call it once in the Worker's module. Resolves once the owner
 * has attached the thread under a name.
 */
export function serveThread(options: ServeThreadOptions): Promise<System> {
  const { promise, resolve } = Promise.withResolvers<System>();
  const port = options.port ?? self as unknown as Port;
  let system: ActorSystem | null = null;
  const link: PortLink = new PortLink(
    port,
    (envelope) => system?.receive(envelope),
    (message) => {
      if (message.handshake === "lost") return system?.lost(message.loss);
      if (message.handshake !== "attach" || system) return;
      system = new ActorSystem({ ...options, node: message.node }, {
        lane: message.lane,
        elsewhere: link,
      });
      link.shake({ handshake: "attached" });
      link.open();
      resolve(system);
    },
  );
  link.shake({ handshake: "listening" });
  return promise;
}
