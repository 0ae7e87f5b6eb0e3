import {
  type ActorRef,
  createLogger,
  createMemoryNetwork,
  createSystem,
  seededRng,
  type System,
  systemClock,
} from "../../../runtime/mod.ts";
import { Probe, type ProbeProtocol } from "./probe.ts";

/** A lane between a system that asks and a place where probes live. */
export interface Lane extends AsyncDisposable {
  /** The asking side. */
  readonly system: System;
  /** Starts a probe on the other end. */
  spawn(id?: string): Promise<ActorRef<ProbeProtocol>>;
}

/** The lanes that the contract suite runs over. */
export const lanes: Readonly<Record<string, () => Lane>> = {
  "same isolate": openLocal,
  "thread": openThread,
  "memory transport": openMemory,
};

/** A log that says nothing: tests crash actors on purpose. */
export const silent = createLogger({ level: "silent" });

function openLocal(): Lane {
  const system = createSystem({ node: "a", log: silent });
  return {
    system,
    spawn: (id) => {
      const ref = system.spawn(Probe, undefined, id === undefined ? {} : { id });
      return Promise.resolve(ref);
    },
    [Symbol.asyncDispose]: () => system.shutdown(),
  };
}

function openThread(): Lane {
  const system = createSystem({ node: "a", log: silent });
  const worker = new Worker(new URL("./probe_thread.ts", import.meta.url), { type: "module" });
  system.attachThread("device", worker);
  return {
    system,
    spawn: (id) => system.spawnOn("device", "probe", undefined, id === undefined ? {} : { id }),
    [Symbol.asyncDispose]: () => system.shutdown(),
  };
}

function openMemory(): Lane {
  const network = createMemoryNetwork({ clock: systemClock(), rng: seededRng(1) });
  const join = (node: string) =>
    createSystem({ node, transport: network.connect(node), kinds: [Probe], log: silent });
  const system = join("a");
  const other = join("b");
  return {
    system,
    spawn: (id) => system.spawnOn("b/main", "probe", undefined, id === undefined ? {} : { id }),
    async [Symbol.asyncDispose]() {
      await system.shutdown();
      await other.shutdown();
    },
  };
}
