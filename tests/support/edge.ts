/** Runs `actors/edge/main.ts` as a process of its own, by `deno serve`. */
import { TextLineStream } from "./lines.ts";

/** An edge process that listens. */
export interface EdgeProcess extends AsyncDisposable {
  readonly url: string;
  readonly pid: number;
  /** Sends a signal and answers with the exit code and standard error. */
  stop(signal?: Deno.Signal): Promise<{ code: number; stderr: string }>;
}

const root = new URL("../../", import.meta.url).pathname;

/** Starts an edge with these variables, by the rules of Deno Deploy: no unstable features. */
export async function startEdgeProcess(
  variables: Readonly<Record<string, string>>,
): Promise<EdgeProcess> {
  const config = await stableConfig();
  const process = new Deno.Command(Deno.execPath(), {
    args: [
      ...["serve", "--config", config, "--host", "127.0.0.1", "--port", "0"],
      ...["--allow-net", "--allow-read", "--allow-env", `${root}actors/edge/main.ts`],
    ],
    env: { ...variables, NO_COLOR: "1", DENO_SERVE_ADDRESS: "" },
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const lines: string[] = [];
  const listening = Promise.withResolvers<string>();
  const read = async (stream: ReadableStream<Uint8Array>) => {
    const text = stream.pipeThrough(new TextDecoderStream()).pipeThrough(new TextLineStream());
    for await (const line of text) {
      lines.push(line);
      const url = /Listening on (http:\/\/[\d.:]+)/.exec(line)?.[1];
      if (url) listening.resolve(url);
    }
  };
  const reading = Promise.all([read(process.stdout), read(process.stderr)]);
  const ended = reading.then(() => process.status).then(async ({ code }) => {
    await Deno.remove(config);
    listening.reject(new Error(`Cannot start an edge: ${lines.join("\n")}`));
    return { code, stderr: lines.join("\n") };
  });
  const stop = (signal: Deno.Signal = "SIGTERM") => {
    process.kill(signal);
    return ended;
  };
  return {
    url: await listening.promise,
    pid: process.pid,
    stop,
    async [Symbol.asyncDispose]() {
      await Promise.resolve().then(() => stop("SIGKILL")).catch(() => ended);
    },
  };
}

/** The project's configuration without what Deno Deploy does not know. */
async function stableConfig(): Promise<string> {
  const { imports } = JSON.parse(await Deno.readTextFile(`${root}deno.json`));
  const file = await Deno.makeTempFile({ suffix: ".json" });
  await Deno.writeTextFile(file, JSON.stringify({ imports, lock: `${root}deno.lock` }));
  return file;
}
