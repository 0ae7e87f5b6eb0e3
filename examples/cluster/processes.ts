/** Child processes that talk with their names before their lines, and stop in the order that is asked for. */

/** A process of the cluster. */
export interface Process {
  readonly name: string;
  readonly pid: number;
  /** Resolves with the exit code. */
  readonly ended: Promise<number>;
  /** Asks it to stop; kills it if it has not within `graceMs`. */
  stop(graceMs: number): Promise<void>;
}

/** How a process is started. */
export interface ProcessOptions {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Told each line that it says. */
  readonly print: (line: string) => void;
  /** What it says once it is ready; the first group is what is worth knowing. */
  readonly ready: RegExp;
}

/** Starts a process and waits until it is ready. Answers what it said then. Rejects when it ends before. */
export async function startProcess(options: ProcessOptions): Promise<[Process, string]> {
  const { name, command, args, env = {}, cwd, print, ready } = options;
  const child = new Deno.Command(command, {
    args: [...args],
    env: { ...env, NO_COLOR: "1" },
    ...(cwd !== undefined && { cwd }),
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
    // An interrupt of the terminal reaches this process only, which stops the others in good order.
    detached: true,
  }).spawn();
  const said = Promise.withResolvers<string>();
  const hear = (line: string) => {
    print(line);
    const match = ready.exec(line);
    if (match) said.resolve(match[1] ?? line);
  };
  const heard = Promise.all([lines(child.stdout, hear), lines(child.stderr, hear)]);
  const ended = child.status.then(async ({ code }) => {
    await heard;
    said.reject(new Error(`Cannot start ${name}, it ended with code: ${code}`));
    return code;
  });
  const stop = async (graceMs: number) => {
    signal(child, "SIGTERM");
    const timer = setTimeout(() => signal(child, "SIGKILL"), graceMs);
    await ended;
    clearTimeout(timer);
  };
  try {
    return [{ name, pid: child.pid, ended, stop }, await said.promise];
  } catch (error) {
    await ended;
    throw error;
  }
}

async function lines(
  stream: ReadableStream<Uint8Array>,
  hear: (line: string) => void,
): Promise<void> {
  let rest = "";
  for await (const text of stream.pipeThrough(new TextDecoderStream())) {
    const whole = (rest + text).split("\n");
    rest = whole.pop()!;
    for (const line of whole) if (line.trim() !== "") hear(line);
  }
  if (rest.trim() !== "") hear(rest);
}

function signal(child: Deno.ChildProcess, name: Deno.Signal): void {
  try {
    child.kill(name);
  } catch {
    // It has ended already.
  }
}
