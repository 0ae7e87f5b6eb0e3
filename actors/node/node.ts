/** A node: devices, replicas and routers; alone, or one of a cluster. */
import {
  type ActorRef,
  createSystem,
  type Logger,
  type Store,
  type System,
  systemClock,
  type Tracer,
  type Transport,
} from "../../runtime/mod.ts";
import type { Config } from "../config/mod.ts";
import type { DeskProtocol } from "../desk_protocol.ts";
import type { RouterDirectory } from "../edge/mod.ts";
import type { ClusterStatus, FamilyFacts } from "../node_protocol.ts";
import { layOut, LayoutError } from "../planner/mod.ts";
import type { RouterProtocol } from "../protocol.ts";
import type { LevelModel } from "../router/mod.ts";
import { bringFamilies } from "./bring_families.ts";
import { Devices } from "./devices.ts";
import { Participant } from "./participant.ts";
import { Shelf } from "./shelf.ts";

/** What a starting node reports. */
export type NodeProgress = (line: string) => void;

/** How a node is started. */
export interface NodeOptions {
  /** Where its actors log; the runtime's default when absent. */
  readonly log?: Logger;
  /** Told each line of the start; absent = silent. */
  readonly progress?: NodeProgress;
  /** Its name; `local` by default. */
  readonly node?: string;
  /** Quantile taken as confidence by families without a calibration; 0 by default. */
  readonly q?: number;
  /** The way to the other nodes of a cluster; absent = the node is alone. */
  readonly transport?: Transport;
  /** Where the cluster keeps its leases; goes with `transport`. */
  readonly store?: Store;
  /** The build that it announces; this one by default. */
  readonly version?: string;
  /** Measures requests across nodes; none by default. */
  readonly tracer?: Tracer;
  /** The module that the Workers of its devices run; its own by default. */
  readonly deviceModule?: URL;
}

/** A running node. */
export interface TandemNode {
  /** The system that its actors run in. */
  readonly system: System;
  /** Routers that run here, by the names of their families. */
  readonly routers: ReadonlyMap<string, ActorRef<RouterProtocol>>;
  /** The routers of all nodes. */
  readonly directory: RouterDirectory;
  /** Models of the families that are routed here, small to giant, a family. */
  readonly models: ReadonlyMap<string, readonly LevelModel[]>;
  /** Warnings of the start, for people. */
  readonly warnings: readonly string[];
  /** The cluster as this node sees it. */
  status(): ClusterStatus;
  /** The desks of the cluster. */
  findDesks(): readonly ActorRef<DeskProtocol>[];
  /** Resolves, with the reason, when the node must end because another has taken its name. */
  readonly replaced: Promise<string>;
  /** Takes no more work and waits until what it hosts has been moved to others, at most `graceMs`. */
  drain(graceMs: number): Promise<void>;
  /** Stops its actors and their threads, and leaves the cluster with a goodbye. */
  close(): Promise<void>;
}

/**
 * Starts a node. Alone, everything that its configuration names runs when this resolves; in a cluster, the
 * node has joined, and the planner gives it work as it finds it. Throws one-line errors; nothing is left running
 * then.
 */
export async function startNode(config: Config, options: NodeOptions = {}): Promise<TandemNode> {
  const { log, node = "local", transport, store, progress = () => {}, deviceModule } = options;
  const shelf = new Shelf();
  const since = systemClock().now();
  const brought = await bringFamilies(config, shelf, { since, q: options.q ?? 0 });
  const system = createSystem({
    node,
    ...(log && { log }),
    ...(transport && { transport }),
    ...(store && { store }),
    ...(options.tracer && { tracer: options.tracer }),
  });
  let participant: Participant | undefined;
  let devices: Devices | undefined;
  const close = async () => {
    await participant?.leave();
    devices?.retire();
    await system.shutdown();
    devices?.close();
  };
  try {
    devices = await Devices.start(config.devices, {
      system,
      together: transport !== undefined,
      progress,
      changed: () => participant?.announce(),
      ...(deviceModule && { module: deviceModule }),
    });
    const joined = participant = new Participant({ ...options, system, shelf, devices });
    if (!transport) { for (const line of loading(brought.families, shelf)) progress(line); }
    await joined.join(brought.families);
    if (!transport) {
      await runAll(joined);
      for (const line of placed(joined.status())) progress(line);
    }
    return {
      system,
      warnings: [...devices.warnings, ...brought.warnings],
      get routers() {
        return joined.routers;
      },
      get models() {
        return joined.models;
      },
      directory: joined.directory,
      replaced: joined.replaced,
      status: () => joined.status(),
      findDesks: () => joined.findDesks(),
      drain: (graceMs) => joined.drain(graceMs),
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Waits until everything runs. Throws what stands against it. */
async function runAll(participant: Participant): Promise<void> {
  const { problems } = await participant.planned();
  if (problems.length > 0) throw new LayoutError(problems[0]!);
}

/** Which devices the replicas lie on, where there is more than one. */
function placed({ nodes }: ClusterStatus): string[] {
  if (nodes.flatMap(({ devices }) => devices).length === 1) return [];
  const placements = nodes.flatMap(({ parts }) => parts).flatMap(({ placement }) =>
    placement ?? []
  );
  return placements.map(({ family, level, partitions }) => {
    const shares = partitions.map(({ device, layers }) => `${layers.count} layers on ${device}`);
    return `Running ${family}/${level}: ${shares.join(", ")}`;
  });
}

function loading(families: readonly FamilyFacts[], shelf: Shelf): string[] {
  return families.flatMap(({ name, levels }) =>
    levels.map(({ config, model }) => {
      const { bytes } = layOut(config, shelf.find(model)!.facts);
      return `Loading ${name}/${config.name}: ${(bytes / 1e6).toFixed(0)} MB`;
    })
  );
}
