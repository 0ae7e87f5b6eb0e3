/** Child processes that answer one JSON line for each JSON line: both ends. */

/** A running child. One call at a time. */
export class JsonLineChild {
  readonly #process: Deno.ChildProcess;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array<ArrayBuffer>>;
  readonly #lines: AsyncGenerator<string>;
  #lastId = 0;

  /** Starts a command with `env` added to the environment. Its stderr is ours. */
  constructor(
    command: string,
    args: readonly string[],
    env: Readonly<Record<string, string>> = {},
  ) {
    this.#process = new Deno.Command(command, {
      args: [...args],
      env: { ...env },
      stdin: "piped",
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    this.#writer = this.#process.stdin.getWriter();
    this.#lines = linesOf(this.#process.stdout);
  }

  /** Calls a method of the child. Throws its error, or that it has ended. */
  async call<Result>(method: string, params: unknown = {}): Promise<Result> {
    const id = ++this.#lastId;
    const line = `${JSON.stringify({ id, method, params })}\n`;
    await this.#writer.write(new TextEncoder().encode(line)).catch(() => {});
    for (let line = await this.#lines.next(); !line.done; line = await this.#lines.next()) {
      if (!line.value.startsWith("{")) continue;
      const reply = JSON.parse(line.value);
      if (reply.error !== undefined) throw new Error(`Cannot ${method}: ${reply.error}`);
      if (reply.id === id) return reply.result;
    }
    throw new Error(`Cannot ${method}: the child process has ended`);
  }

  /** Ends the process. */
  async close(): Promise<void> {
    await this.#writer.close().catch(() => {});
    await this.#lines.return(undefined);
    await this.#process.status;
  }
}

/** The methods of a child, by name. */
export type Methods = Readonly<Record<string, (params: never) => unknown>>;

/** The child's end: answers the lines of standard input until it ends. */
export async function serveJsonLines(methods: Methods): Promise<void> {
  const encoder = new TextEncoder();
  for await (const line of linesOf(Deno.stdin.readable)) {
    const { id, method, params } = JSON.parse(line);
    const reply = await answer(methods, method, params);
    writeAll(encoder.encode(`${JSON.stringify({ id, ...reply })}\n`));
  }
}

async function answer(methods: Methods, method: string, params: unknown): Promise<object> {
  try {
    return { result: await methods[method]!(params as never) ?? null };
  } catch (error) {
    return { error: error instanceof Error ? error.message : String(error) };
  }
}

function writeAll(bytes: Uint8Array): void {
  for (let done = 0; done < bytes.length;) done += Deno.stdout.writeSync(bytes.subarray(done));
}

/** The lines of a stream of text, as they come. */
export async function* linesOf(
  stream: ReadableStream<Uint8Array<ArrayBuffer>>,
): AsyncGenerator<string> {
  let rest = "";
  for await (const text of stream.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split("\n");
    rest = lines.pop() ?? "";
    yield* lines;
  }
}
