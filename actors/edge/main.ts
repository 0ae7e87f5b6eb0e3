/**
 * An edge in a process of its own, told by its environment where the cluster is:
 * `TANDEM_NATS_URL=nats://host:4222 deno serve -A actors/edge/main.ts`. Any number of them may run.
 */
import { connectNats } from "../../runtime/mod.ts";
import { ConfigError } from "../config/mod.ts";
import { tracing } from "../tracing.ts";
import { readSettings, type Standalone, standaloneEdge } from "./cluster/mod.ts";

const edge = await start();
stopOn(["SIGINT", "SIGTERM"]);

export default {
  fetch: (request, { remoteAddr }) =>
    edge.fetch(request, "hostname" in remoteAddr ? remoteAddr.hostname : undefined),
} satisfies Deno.ServeDefaultExport;

async function start(): Promise<Standalone> {
  try {
    const settings = readSettings((name) => Deno.env.get(name));
    return await standaloneEdge({
      settings,
      connect: (node) => connectNats({ ...settings.nats, name: node }),
      ...await tracing(),
    });
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    console.error(error.message);
    Deno.exit(1);
  }
}

/** A second signal ends it at once. */
function stopOn(signals: readonly Deno.Signal[]): void {
  let isStopping = false;
  const stop = () => {
    if (isStopping) Deno.exit(1);
    isStopping = true;
    void edge.close().finally(() => Deno.exit(0));
  };
  for (const signal of signals) {
    try {
      Deno.addSignalListener(signal, stop);
    } catch {
      // Not every platform has every signal.
    }
  }
}
