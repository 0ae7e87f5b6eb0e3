import { createLogger, serveThread } from "../../../runtime/mod.ts";
import { Probe } from "./probe.ts";

await serveThread({ kinds: [Probe], log: createLogger({ level: "silent" }) });
