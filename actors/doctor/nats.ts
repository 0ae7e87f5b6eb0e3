import { connectNats, type NatsOptions } from "../../runtime/mod.ts";
import { type Finding, reasonOf } from "./finding.ts";

/** Whether a NATS server can be reached and logged in to; skipped without options. */
export async function inspectNats(options: NatsOptions | undefined): Promise<Finding> {
  if (!options) {
    return {
      part: "nats",
      verdict: "skipped",
      summary: "not asked for: --nats nats://HOST:4222 checks a server",
      details: [],
      facts: { reachable: null },
    };
  }
  const servers = options.servers.join(", ");
  try {
    const transport = await connectNats({ ...options, connectTimeoutMs: 3000 });
    const { maxPayload } = transport;
    await transport.close();
    return {
      part: "nats",
      verdict: "ok",
      summary: `reached ${servers}`,
      details: [`largest payload ${maxPayload} bytes`],
      facts: { reachable: true, maxPayload },
    };
  } catch (error) {
    return {
      part: "nats",
      verdict: "problem",
      summary: `${servers}: ${reasonOf(error)}`,
      details: [],
      advice: "Start one with: nats-server -js (Debian: apt-get install nats-server)",
      facts: { reachable: false },
    };
  }
}
