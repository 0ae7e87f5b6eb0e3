import {
  type ActorRef,
  connectNats,
  createLogger,
  createMemoryNetwork,
  createSystem,
  seededRng,
  type System,
  systemClock,
  type Transport,
} from "../../../runtime/mod.ts";
import { startNats } from "../../support/nats.ts";
import { Probe, type ProbeProtocol } from "./probe.ts";

/** A lane between a system that asks and a place where probes live. */
export interface Lane extends AsyncDisposable {
  /** The asking side. */
  readonly system: System;
  /** Starts a probe on the other end. */
  spawn(id?: string): Promise<ActorRef<ProbeProtocol>>;
}

/** The lanes that the contract suite runs over. */
export const lanes: Readonly<Record<string, () => Lane | Promise<Lane>>> = {
  "same isolate": openLocal,
  "thread": openThread,
  "memory transport": openMemory,
  "NATS": openNats,
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
  return between(network.connect("a"), network.connect("b"));
}

async function openNats(): Promise<Lane> {
  const server = await startNats();
  const connect = () => connectNats({ servers: [server.url] });
  const [here, there] = [await connect(), await connect()];
  const lane = between(here, there);
  await there.flush();
  return {
    ...lane,
    async [Symbol.asyncDispose]() {
      await lane[Symbol.asyncDispose]();
      await server[Symbol.asyncDispose]();
    },
  };
}

function between(here: Transport, there: Transport): Lane {
  const join = (node: string, transport: Transport) =>
    createSystem({ node, transport, kinds: [Probe], log: silent });
  const [system, other] = [join("a", here), join("b", there)];
  return {
    system,
    spawn: (id) => system.spawnOn("b/main", "probe", undefined, id === undefined ? {} : { id }),
    async [Symbol.asyncDispose]() {
      await system.shutdown();
      await other.shutdown();
    },
  };
}
