import { type Clock, sleep, systemClock } from "../../clock.ts";
import { ActorError } from "../../errors.ts";
import { type Rng, systemRng } from "../../rng.ts";
import { messagePrefix } from "../link/mod.ts";
import type { Transport, TransportEvent } from "../transport.ts";
import { Line, type LineEvents } from "./line.ts";
import { type NatsOptions, readOptions } from "./options.ts";
import { Waits } from "./waits.ts";

/** What a connection to NATS takes from around it; the machine's own by default. */
export interface NatsSurroundings {
  /** Time. */
  readonly clock?: Clock;
  /** Randomness. */
  readonly rng?: Rng;
  /** What to do while no server can be reached; by default, to give up after one attempt. */
  readonly patience?: NatsPatience;
}

/** Trying again and again, until a server can be reached. */
export interface NatsPatience {
  /** Told why an attempt failed, whenever the reason changes. */
  readonly told: (error: ActorError) => void;
  /** Ends it, with its reason. */
  readonly signal?: AbortSignal;
}

/** A transport over NATS. */
export interface NatsTransport extends Transport {
  /** Whether it has its network; while it has not, `publish()` throws `NoRoute`. */
  readonly isUp: boolean;
}

/**
 * Connects to NATS and logs in. Throws `ActorError`: `NoRoute`, or `Denied` for options, files and
 * credentials that are no good. Once connected, it reconnects for as long as it is not closed.
 */
export async function connectNats(
  options: NatsOptions,
  { clock = systemClock(), rng = systemRng(), patience }: NatsSurroundings = {},
): Promise<NatsTransport> {
  const settings = readOptions(options);
  const connect = async () => {
    const transport = new Lines((events) => Line.open(settings, { clock, rng }, events));
    await transport.open();
    return transport;
  };
  if (!patience) return await connect();
  const waits = new Waits(settings.reconnectMs, rng);
  return await persist(connect, patience, (signal) => sleep(clock, waits.next(), signal));
}

/** Goes on until an attempt succeeds, or fails for a reason that time does not cure. */
async function persist<T>(
  attempt: () => Promise<T>,
  { told, signal }: NatsPatience,
  pause: (signal?: AbortSignal) => Promise<void>,
): Promise<T> {
  for (let why = "";;) {
    try {
      signal?.throwIfAborted();
      return await attempt();
    } catch (error) {
      if (!(error instanceof ActorError) || error.code !== "NoRoute") throw error;
      if (error.message !== why) told(error);
      why = error.message;
      await pause(signal);
    }
  }
}

/** A connection for JetStream. */
export type StoreLine = Pick<Line, "client" | "isUp">;

/**
 * Opens one more connection to the servers of a transport, which closes with it: a server whose disk hangs reads
 * no more from whoever writes to its store, and must not hold up heartbeats. `down` is told of each loss.
 */
export function openStoreLine(
  transport: NatsTransport,
  down: (why: string) => void,
): Promise<StoreLine> {
  if (transport instanceof Lines) return transport.openMore(down);
  throw new ActorError("Denied", "Expected a transport of connectNats()");
}

type LineName = "control" | "bulk";

type OpenLine = (events: LineEvents) => Promise<Line>;

/**
 * Two connections, and more for stores: messages between actors, which may be large, have one of their own and hold up
 * nothing else. Under each, what one sender publishes keeps its order.
 */
class Lines implements NatsTransport {
  readonly closed: Promise<Error | void>;
  readonly #watchers = new Set<(event: TransportEvent) => void>();
  readonly #down = new Set<LineName>();
  readonly #closed = Promise.withResolvers<Error | void>();
  readonly #openLine: OpenLine;
  readonly #more: Line[] = [];
  #control!: Line;
  #bulk!: Line;
  #closing: Promise<void> | null = null;

  constructor(openLine: OpenLine) {
    this.#openLine = openLine;
    this.closed = this.#closed.promise;
  }

  async open(): Promise<void> {
    const names = ["control", "bulk"] as const;
    const opening = names.map((name) => this.#openLine(this.#events(name)));
    const lines = await Promise.allSettled(opening);
    const open = lines.flatMap((line) => line.status === "fulfilled" ? [line.value] : []);
    const failed = lines.find((line) => line.status === "rejected");
    if (failed) {
      await Promise.all(open.map((line) => line.close()));
      throw failed.reason;
    }
    [this.#control, this.#bulk] = open as [Line, Line];
    const ends = Promise.race(open.map((line) => line.client.closed()));
    void ends.then((error) => this.#end(error));
  }

  async openMore(down: (why: string) => void): Promise<Line> {
    const line = await this.#openLine({ ...this.#reports(), up() {}, down, retiring() {} });
    if (this.#closing === null) this.#more.push(line);
    else await line.close();
    return line;
  }

  get isUp(): boolean {
    return this.#control.isUp && this.#bulk.isUp;
  }

  get maxPayload(): number {
    return Math.min(this.#control.maxPayload, this.#bulk.maxPayload);
  }

  publish(subject: string, ...pieces: readonly Uint8Array[]): void {
    this.#lineOf(subject).publish(subject, pieces);
  }

  probe(subject: string, token: string, ...pieces: readonly Uint8Array[]): void {
    this.#lineOf(subject).publish(subject, pieces, token);
  }

  subscribe(pattern: string, callback: (subject: string, bytes: Uint8Array) => void): () => void {
    return this.#lineOf(pattern).subscribe(pattern, callback);
  }

  watch(callback: (event: TransportEvent) => void): () => void {
    this.#watchers.add(callback);
    return () => this.#watchers.delete(callback);
  }

  async flush(): Promise<void> {
    await Promise.all([this.#control.flush(), this.#bulk.flush()]);
  }

  close(): Promise<void> {
    const lines = [this.#control, this.#bulk, ...this.#more];
    return this.#closing ??= Promise.all(lines.map((line) => line.close())).then(() => {});
  }

  #lineOf(subject: string): Line {
    return subject.startsWith(messagePrefix) ? this.#bulk : this.#control;
  }

  #events(name: LineName): LineEvents {
    return {
      ...this.#reports(),
      up: () => {
        if (this.#down.delete(name) && this.#down.size === 0) this.#tell({ type: "up" });
      },
      down: (why) => {
        const isFirst = this.#down.size === 0;
        this.#down.add(name);
        if (isFirst && this.#closing === null) this.#tell({ type: "down", why });
      },
      retiring: () => this.#tell({ type: "retiring" }),
    };
  }

  #reports(): Pick<LineEvents, "unheard" | "refused" | "failed"> {
    return {
      unheard: (token) => this.#tell({ type: "unheard", token }),
      refused: (operation, subject) => this.#tell({ type: "refused", operation, subject }),
      failed: (error) => this.#tell({ type: "failed", error }),
    };
  }

  #tell(event: TransportEvent): void {
    for (const watcher of [...this.#watchers]) watcher(event);
  }

  async #end(error: Error | void): Promise<void> {
    await this.close();
    this.#watchers.clear();
    this.#closed.resolve(error);
  }
}
