import { serveThread } from "../../runtime/mod.ts";
import { Counter } from "./counter.ts";

await serveThread({ kinds: [Counter] });
