/** Runs `deno task serve` as a process of its own. */
import { TextLineStream } from "./lines.ts";

/** A server process that has said where it listens. */
export interface ServerProcess {
  readonly url: string;
  /** Everything on standard output up to the greeting's last line. */
  readonly greeting: string;
  /** Sends a signal and answers with the exit code and standard error. */
  stop(signal?: Deno.Signal): Promise<{ code: number; stderr: string }>;
}

/** Starts the server from a checkout with these arguments. Rejects with its standard error if it ends. */
export async function startServerProcess(
  root: string,
  args: readonly string[],
): Promise<ServerProcess> {
  const command = new Deno.Command(Deno.execPath(), {
    args: ["task", "--quiet", "serve", "--port", "0", ...args],
    cwd: root,
    stdout: "piped",
    stderr: "piped",
  });
  const process = command.spawn();
  const stderr = new Response(process.stderr).text();
  const lines: string[] = [];
  const reader = process.stdout.pipeThrough(new TextDecoderStream()).pipeThrough(
    new TextLineStream(),
  ).getReader();
  while (!lines.at(-1)?.includes("curl ")) {
    const { value, done } = await reader.read();
    if (done) throw new Error(`Cannot start the server: ${await stderr}`);
    lines.push(value);
  }
  const greeting = lines.join("\n");
  return {
    greeting,
    url: greeting.match(/http:\/\/[\w.:[\]]+/)![0],
    stop: async (signal = "SIGINT") => {
      process.kill(signal);
      await reader.cancel();
      const { code } = await process.status;
      return { code, stderr: await stderr };
    },
  };
}

/** Runs a task of the project to its end. */
export async function runTask(
  args: readonly string[],
  env: Record<string, string> = {},
): Promise<{ code: number; stdout: string; stderr: string }> {
  const root = new URL("../..", import.meta.url).pathname;
  const command = new Deno.Command(Deno.execPath(), {
    args: ["task", "--quiet", ...args],
    cwd: root,
    env,
  });
  const { code, stdout, stderr } = await command.output();
  const decoder = new TextDecoder();
  return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}
