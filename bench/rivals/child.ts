/** A child process of Node that answers one JSON line for each JSON line. One call at a time. */
export class JsonLineChild {
  readonly #process: Deno.ChildProcess;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array<ArrayBuffer>>;
  readonly #lines: AsyncGenerator<string>;
  #lastId = 0;

  /** Starts a script of this folder with `env` added to the environment. */
  constructor(script: string, env: Readonly<Record<string, string>>) {
    const path = new URL(script, import.meta.url).pathname;
    this.#process = new Deno.Command("node", {
      args: [path],
      env: { ...env },
      stdin: "piped",
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    this.#writer = this.#process.stdin.getWriter();
    this.#lines = linesOf(this.#process.stdout);
  }

  /** Calls a method of the script. Throws its error, or that it has ended. */
  async call<Result>(method: string, params: unknown = {}): Promise<Result> {
    const id = ++this.#lastId;
    await this.#writer.write(
      new TextEncoder().encode(`${JSON.stringify({ id, method, params })}\n`),
    );
    for (
      let line = await this.#lines.next();
      !line.done;
      line = await this.#lines.next()
    ) {
      if (!line.value.startsWith("{")) continue;
      const reply = JSON.parse(line.value);
      if (reply.error !== undefined) {
        throw new Error(`Cannot ${method}: ${reply.error}`);
      }
      if (reply.id === id) return reply.result;
    }
    throw new Error(`Cannot ${method}: the rival's process has ended`);
  }

  /** Ends the process. */
  async close(): Promise<void> {
    await this.#writer.close().catch(() => {});
    await this.#lines.return(undefined);
    await this.#process.status;
  }
}

async function* linesOf(
  stream: ReadableStream<Uint8Array<ArrayBuffer>>,
): AsyncGenerator<string> {
  let rest = "";
  for await (const text of stream.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split("\n");
    rest = lines.pop() ?? "";
    yield* lines;
  }
}
