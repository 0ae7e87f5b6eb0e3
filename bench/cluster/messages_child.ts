/** The answering process: `messages_child.ts URL`. */
import { connect } from "@nats-io/transport-node";
import { connectNats, createSystem } from "../../runtime/mod.ts";
import { serveJsonLines } from "../json_lines.ts";
import { Sink, subjects } from "./sink.ts";

const [url] = Deno.args as [string];
const bare = await connect({ servers: url });
bare.subscribe(subjects.echo, { callback: (_, message) => void message.respond(message.data) });
bare.subscribe(subjects.last, {
  callback: (_, message) => {
    const { buffer, byteOffset, byteLength } = message.data;
    const last = new DataView(buffer, byteOffset, byteLength).getFloat32(byteLength - 4, true);
    message.respond(JSON.stringify(last));
  },
});
await bare.flush();

const transport = await connectNats({ servers: [url] });
const system = createSystem({ node: "answerer", transport });
system.spawn(Sink, undefined, { id: "sink" });
await transport.flush();

await serveJsonLines({ ready: () => true });
await Promise.all([bare.close(), system.shutdown()]);
