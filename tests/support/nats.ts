/** A real NATS server for a test, in one line: `await using server = await startNats()`. */
export { startNats } from "../../bench/nats_server.ts";
export type { NatsServer, NatsServerOptions } from "../../bench/nats_server.ts";
