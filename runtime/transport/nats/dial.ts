import { once } from "node:events";
import { connect, isIP, type Socket } from "node:net";
import { connect as secure } from "node:tls";
import { ActorError } from "../../errors.ts";
import type { TlsFiles } from "./credentials.ts";
import { formatServer, type ServerUrl } from "./options.ts";

/** A connected stream of bytes. */
export interface ByteStream {
  /** What comes in next, in a buffer that nobody uses again; null or an error once the peer is gone. */
  read(): Promise<ArrayBuffer | null>;
  /** Resolves once the bytes are with the kernel. */
  write(bytes: Uint8Array): Promise<unknown>;
  close(): void;
}

const readBytes = 1 << 18;
const maxGreetingBytes = 1 << 16;

/** Connects by TCP without delay, and by TLS if the URL says so. */
export function dial(server: ServerUrl, tls: TlsFiles): Promise<ByteStream> {
  return server.scheme === "tls" ? dialTls(server, tls) : dialPlain(server);
}

async function dialPlain({ host, port }: ServerUrl): Promise<ByteStream> {
  const connection = await Deno.connect({ hostname: bare(host), port });
  connection.setNoDelay(true);
  const buffer = new Uint8Array(readBytes);
  return {
    async read() {
      const bytes = await connection.read(buffer);
      return bytes === null ? null : buffer.buffer.slice(0, bytes);
    },
    async write(bytes) {
      for (let at = 0; at < bytes.byteLength;) at += await connection.write(bytes.subarray(at));
    },
    close() {
      try {
        connection.close();
      } catch {
        // The peer was first.
      }
    },
  };
}

/**
 * NATS greets in plain text before TLS begins. By `node:tls`, since `Deno.startTls` takes no client
 * certificate.
 */
async function dialTls(server: ServerUrl, { serverName, ...files }: TlsFiles): Promise<ByteStream> {
  const host = bare(server.host);
  const plain = connect({ host, port: server.port, noDelay: true });
  const name = serverName ?? host;
  try {
    // An error that nobody listens to ends the process; who waits for an event gets it too.
    plain.on("error", () => {});
    const greeting = await readGreeting(plain, server);
    const options = isIP(name) ? { host: name } : { servername: name };
    const socket = secure({ socket: plain, ...files, ...options });
    socket.on("error", () => {});
    await once(socket, "secureConnect");
    return streamOf(socket, greeting);
  } catch (thrown) {
    plain.destroy();
    throw thrown;
  }
}

async function readGreeting(socket: Socket, server: ServerUrl): Promise<Uint8Array> {
  let text = "";
  while (!text.includes("\r\n") && text.length < maxGreetingBytes) {
    const [chunk] = await once(socket, "data");
    text += new TextDecoder().decode(chunk);
  }
  if (!/"tls_(required|available)":\s*true/.test(text)) {
    throw new ActorError("Denied", `Server offers no TLS: ${formatServer(server)}`);
  }
  return new TextEncoder().encode(text);
}

function streamOf(socket: Socket, greeting: Uint8Array): ByteStream {
  const chunks = socket[Symbol.asyncIterator]() as AsyncIterator<Uint8Array>;
  let next: Uint8Array | null = greeting;
  return {
    async read() {
      const chunk = next ?? (await chunks.next()).value;
      next = null;
      return chunk === undefined ? null : new Uint8Array(chunk).buffer;
    },
    // Why a write fails is what the next read throws.
    write: (bytes) => new Promise((resolve) => socket.write(bytes, () => resolve(undefined))),
    close: () => socket.destroy(),
  };
}

/** A host as sockets want it: IPv6 without brackets. */
function bare(host: string): string {
  return host.replace(/^\[|\]$/g, "");
}
