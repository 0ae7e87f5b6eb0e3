/** A real NATS server as a child process, on a free loopback port and with a folder of its own. */
import { linesOf } from "./json_lines.ts";

/** A running nats-server. Disposing of it kills it and removes its folder. */
export interface NatsServer extends AsyncDisposable {
  /** `nats://127.0.0.1:PORT`; the same after a restart. */
  readonly url: string;
  readonly port: number;
  /** Where it listens for WebSockets, if its configuration says that it does; else 0. */
  readonly webSocketPort: number;
  /** Its folder: what `DIR` in the configuration stands for. */
  readonly dir: string;
  /** Sends a signal, such as SIGUSR2 (lame duck). */
  signal(signal: Deno.Signal): void;
  /** Stops it (SIGSTOP), and waits until it stands still. */
  pause(): Promise<void>;
  /** Lets it go on. */
  resume(): void;
  /** Kills it and waits until it is gone. */
  kill(): Promise<void>;
  /** Starts it again on the same port, with what JetStream had stored unless told otherwise. */
  restart(options?: { readonly keepStore?: boolean }): Promise<void>;
}

/** How a server is started. */
export interface NatsServerOptions {
  /** More lines of its configuration; `DIR` becomes its folder. */
  readonly config?: string;
  /** Files of its folder by name. */
  readonly files?: Readonly<Record<string, string>>;
  /** What goes before its command, to run it in other circumstances. */
  readonly wrapper?: readonly string[];
}

const base = `
server_name: test
jetstream { store_dir: "DIR/store", max_memory_store: 64MB, max_file_store: 64MB }
`;

/** Starts a server and waits until it listens. Rejects with its log if it ends first. */
export async function startNats(options: NatsServerOptions = {}): Promise<NatsServer> {
  const { wrapper = [] } = options;
  const dir = await Deno.makeTempDir({ prefix: "nats-" });
  for (const [name, text] of Object.entries(options.files ?? {})) {
    await Deno.writeTextFile(`${dir}/${name}`, text);
  }
  const config = `${base}${options.config ?? ""}`.replaceAll("DIR", dir);
  await Deno.writeTextFile(`${dir}/server.conf`, config);
  let child = await spawn(dir, 0, wrapper);
  const { port, webSocketPort } = child;
  const kill = async () => {
    child.process.kill("SIGKILL");
    await child.process.status;
    await child.logged;
  };
  return {
    url: `nats://127.0.0.1:${port}`,
    port,
    webSocketPort,
    dir,
    signal: (signal) => child.process.kill(signal),
    async pause() {
      child.process.kill("SIGSTOP");
      while (await stateOf(child.process.pid) !== "T") {
        await new Promise((next) => setTimeout(next, 1));
      }
    },
    resume: () => child.process.kill("SIGCONT"),
    kill,
    async restart({ keepStore = true } = {}) {
      if (!keepStore) await Deno.remove(`${dir}/store`, { recursive: true });
      child = await spawn(dir, port, wrapper);
    },
    async [Symbol.asyncDispose]() {
      await kill().catch(() => {});
      await Deno.remove(dir, { recursive: true });
    },
  };
}

/** The state of a process, as Linux calls it: `T` for one that is stopped. */
async function stateOf(pid: number): Promise<string> {
  const stat = await Deno.readTextFile(`/proc/${pid}/stat`);
  return stat.slice(stat.lastIndexOf(")") + 2)[0]!;
}

interface Child {
  readonly process: Deno.ChildProcess;
  readonly port: number;
  readonly webSocketPort: number;
  /** Resolves once its log has been read to the end. */
  readonly logged: Promise<void>;
}

async function spawn(dir: string, port: number, wrapper: readonly string[]): Promise<Child> {
  const address = ["-a", "127.0.0.1", "-p", port === 0 ? "-1" : String(port)];
  const [command, ...args] = [...wrapper, "nats-server", "-c", `${dir}/server.conf`, ...address];
  const process = new Deno.Command(command!, {
    args,
    stdout: "null",
    stderr: "piped",
  }).spawn();
  const lines = linesOf(process.stderr);
  const log: string[] = [];
  while (!log.at(-1)?.includes("Server is ready")) {
    const { value, done } = await lines.next();
    if (done) throw new Error(`Cannot start nats-server:\n${log.join("\n")}`);
    log.push(value);
  }
  const portAfter = (text: string) =>
    Number(new RegExp(`${text}.*127\\.0\\.0\\.1:(\\d+)`).exec(log.join("\n"))?.[1] ?? 0);
  const drain = async () => {
    while (!(await lines.next()).done);
  };
  return {
    process,
    port: portAfter("client connections on"),
    webSocketPort: portAfter("websocket clients on"),
    logged: drain(),
  };
}
