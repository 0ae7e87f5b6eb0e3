import type { ActorDefinition, AnyActorDefinition, Context } from "./actor.ts";

/** A handler without its types. */
export type Handler = (state: unknown, message: unknown, context: Context) => unknown;

/** A definition made ready for dispatch: own methods only, whatever name comes over the wire. */
export interface Behaviour {
  readonly definition: ActorDefinition<unknown, unknown, unknown>;
  readonly handlers: ReadonlyMap<string, Handler>;
  readonly checks: ReadonlyMap<string, ((message: unknown) => void) | undefined>;
  readonly concurrent: ReadonlySet<string>;
}

/** Behaviours by definition, so that a thousand actors of a kind share one. */
export class Behaviours {
  readonly #known = new WeakMap<AnyActorDefinition, Behaviour>();

  of(definition: AnyActorDefinition): Behaviour {
    const known = this.#known.get(definition);
    if (known) return known;
    const behaviour: Behaviour = {
      definition,
      handlers: new Map(Object.entries(definition.receive as Record<string, Handler>)),
      checks: new Map(Object.entries(definition.checks ?? {})),
      concurrent: new Set(definition.concurrent ?? []),
    };
    this.#known.set(definition, behaviour);
    return behaviour;
  }
}
