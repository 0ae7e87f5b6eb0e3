/** A process of its own with a counting router, traced: `deno run router_process.ts NATS_URL`. */
import { connectNats, openTelemetryTracer } from "../../../runtime/mod.ts";
import { startRouterNode } from "./routers.ts";

const transport = await connectNats({ servers: [Deno.args[0]!], name: "a" });
startRouterNode("a", transport, { tracer: await openTelemetryTracer() });
console.log("ready");
Deno.addSignalListener("SIGTERM", () => Deno.exit(0));
