import { ConfigError } from "../config/mod.ts";
import type { Edge } from "./edge.ts";

/** What a server needs. */
export interface ServerOptions {
  /** What answers. */
  readonly edge: Edge;
  /** Address to listen on. */
  readonly host: string;
  /** 0 = any free port. */
  readonly port: number;
}

/** A server that listens. */
export interface Server {
  /** Where it listens, such as `http://127.0.0.1:8080`. */
  readonly url: string;
  /** The port it listens on. */
  readonly port: number;
  /** Settled when it no longer listens and every answer is sent. */
  readonly finished: Promise<void>;
  /**
   * Stops: takes no more requests, lets those at work finish for `graceMs` (by the edge's limits), cancels
   * the rest and closes.
   */
  stop(graceMs?: number): Promise<void>;
}

/** Listens for the edge. Throws `ConfigError` with one line when the address cannot be used. */
export function startServer({ edge, host, port }: ServerOptions): Server {
  const server = listen(edge, host, port);
  const { port: bound } = server.addr;
  return {
    url: `http://${host.includes(":") && !host.startsWith("[") ? `[${host}]` : host}:${bound}`,
    port: bound,
    finished: server.finished,
    stop: async (graceMs) => {
      const closed = server.shutdown();
      await edge.drain(graceMs);
      await closed;
    },
  };
}

function listen(edge: Edge, host: string, port: number): Deno.HttpServer<Deno.NetAddr> {
  try {
    return Deno.serve({
      hostname: host.replace(/^\[(.*)\]$/, "$1"),
      port,
      onListen: () => {},
      onError: () => new Response(null, { status: 500 }),
    }, (request) => edge.fetch(request));
  } catch (error) {
    throw new ConfigError("Invalid", reason(error as Error, host, port));
  }
}

function reason(error: Error, host: string, port: number): string {
  if (error instanceof Deno.errors.AddrInUse) {
    const next = port < 65_535 ? port + 1 : port - 1;
    return `Cannot listen, port ${port} is in use (choose another, such as --port ${next}): ${host}:${port}`;
  }
  if (error instanceof Deno.errors.PermissionDenied || error.name === "NotCapable") {
    return `Cannot listen, not permitted (ports under 1024 often are not): ${host}:${port}`;
  }
  if (error instanceof Deno.errors.AddrNotAvailable) {
    return `Cannot listen, this machine has no such address (choose with --host): ${host}:${port}`;
  }
  return `Cannot listen (${error.message.split("\n", 1)[0]}): ${host}:${port}`;
}
