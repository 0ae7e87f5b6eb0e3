/** `deno task serve` as a child process of its own, on loopback. */
import manifest from "../deno.json" with { type: "json" };
import { linesOf } from "./json_lines.ts";

/** A running node. Disposing of it kills it. */
export interface ServeProcess extends AsyncDisposable {
  /** Its name in the cluster. */
  readonly node: string;
  /** Where it answers HTTP; empty of a worker. */
  readonly url: string;
  /** The lines that it logged so far. */
  readonly log: readonly string[];
  /** Resolves with its exit code. */
  readonly ended: Promise<number>;
  /** Sends a signal. */
  signal(signal: Deno.Signal): void;
  /** Kills it (SIGKILL) and waits until it is gone. */
  kill(): Promise<void>;
}

/** How a node is started. */
export interface ServeProcessOptions {
  /** Its name in the cluster. */
  readonly node: string;
  /** A NATS server. */
  readonly nats: string;
  /** More arguments. */
  readonly args?: readonly string[];
  /** More arguments of Deno. */
  readonly deno?: readonly string[];
  /** Told each line that it logs. */
  readonly heard?: (line: string) => void;
}

const root = new URL("../", import.meta.url).pathname;

/** Starts a node and waits until it has joined. Rejects with what it said if it ends before. */
export async function startServe(options: ServeProcessOptions): Promise<ServeProcess> {
  const { node, nats, args = [], deno = [], heard: tell } = options;
  const [, run, ...command] = manifest.tasks.serve.command.split(" ");
  const process = new Deno.Command(Deno.execPath(), {
    args: [run!, ...deno, ...command, "--nats", nats, "--node", node, "--port", "0", ...args],
    cwd: root,
    env: { NO_COLOR: "1" },
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const log: string[] = [];
  const joined = Promise.withResolvers<string>();
  const hear = async (stream: ReadableStream<Uint8Array<ArrayBuffer>>) => {
    for await (const line of linesOf(stream)) {
      log.push(line);
      tell?.(line);
      const url = /^Tandem \S+ (?:serves at|works as) (\S+)/.exec(line)?.[1];
      if (url !== undefined) joined.resolve(url);
    }
  };
  const heard = Promise.all([hear(process.stdout), hear(process.stderr)]);
  const ended = process.status.then(async ({ code }) => {
    await heard;
    joined.reject(new Error(`Cannot start node ${node}:\n${log.join("\n")}`));
    return code;
  });
  const signal = (name: Deno.Signal) => {
    try {
      process.kill(name);
    } catch {
      // It has ended already.
    }
  };
  const kill = async () => {
    signal("SIGKILL");
    await ended;
  };
  const url = await joined.promise;
  const isWeb = url.startsWith("http");
  return {
    ...{ node, url: isWeb ? url : "", log, ended, signal, kill },
    [Symbol.asyncDispose]: kill,
  };
}
