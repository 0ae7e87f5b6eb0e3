import { z } from "zod";
import { ActorError } from "../../errors.ts";

/** How to connect to NATS. For TCP and TLS, files are read anew before each attempt to connect. */
export interface NatsOptions {
  /** URLs: `nats://` and `tls://` (port 4222), or `ws://` and `wss://` (80, 443). */
  readonly servers: readonly string[];
  /** How the server's monitoring calls the connection. */
  readonly name?: string;
  /** User name; goes with a password. */
  readonly user?: string;
  /** Password of the user. */
  readonly password?: string;
  /** File with the seed of an nkey user: instead of user and password. */
  readonly nkeySeedFile?: string;
  /** The seed itself, where there are no files. */
  readonly nkeySeed?: string;
  /** Text of a `.creds` file, a JWT and its seed: instead of all these. */
  readonly credentials?: string;
  /** How `tls://` servers are checked, and what they are shown. */
  readonly tls?: NatsTlsOptions;
  /** Subjects for answers of the server, `_INBOX` by default: give each user its own. */
  readonly inboxPrefix?: string;
  /** A server that misses two pings in a row is given up; 2,000 ms by default. */
  readonly pingIntervalMs?: number;
  /** How long one attempt to connect may take; 5,000 ms by default. */
  readonly connectTimeoutMs?: number;
  /** Shortest and longest wait between attempts to reconnect; 50 to 2,000 ms by default. */
  readonly reconnectMs?: readonly [shortest: number, longest: number];
  /** How long closing waits for what is on its way; 2,000 ms by default. */
  readonly drainMs?: number;
  /** Bytes that may wait for the network on a connection; 64 MiB by default, more are refused. */
  readonly bufferBytes?: number;
}

/** TLS of a connection to NATS. */
export interface NatsTlsOptions {
  /** PEM file of the authorities to trust; those of the system by default. */
  readonly caFile?: string;
  /** PEM file of the client's certificate; goes with a key. */
  readonly certFile?: string;
  /** PEM file of the client's private key. */
  readonly keyFile?: string;
  /** The name that the server's certificate must bear; the host of its URL by default. */
  readonly serverName?: string;
}

const file = z.string().min(1).max(4096);
const milliseconds = z.int().min(1).max(600_000);

const tls = z.strictObject({
  caFile: file.exactOptional(),
  certFile: file.exactOptional(),
  keyFile: file.exactOptional(),
  serverName: z.string().min(1).max(253).exactOptional(),
});

const schema = z.strictObject({
  servers: z.array(z.string().min(1).max(1024)).min(1).max(64),
  name: z.string().regex(/^[A-Za-z0-9:_-]{1,129}$/).exactOptional(),
  user: z.string().min(1).max(256).exactOptional(),
  password: z.string().min(1).max(1024).exactOptional(),
  nkeySeedFile: file.exactOptional(),
  nkeySeed: z.string().max(256).exactOptional(),
  credentials: z.string().max(65_536).exactOptional(),
  tls: tls.exactOptional(),
  inboxPrefix: z.string().regex(/^[A-Za-z0-9_-]{1,96}(\.[A-Za-z0-9_-]{1,96}){0,7}$/)
    .default("_INBOX"),
  pingIntervalMs: milliseconds.default(2000),
  connectTimeoutMs: milliseconds.default(5000),
  reconnectMs: z.tuple([milliseconds, milliseconds]).default([50, 2000]),
  drainMs: z.int().min(0).max(600_000).default(2000),
  bufferBytes: z.int().min(1 << 16).max(2 ** 31).default(64 << 20),
});

/** The options with everything filled in. */
export type NatsSettings = Omit<z.output<typeof schema>, "servers"> & {
  readonly servers: readonly ServerUrl[];
};

/** One server to connect to. */
export interface ServerUrl {
  readonly scheme: "nats" | "tls" | "ws" | "wss";
  readonly host: string;
  readonly port: number;
}

const defaultPorts: Readonly<Record<ServerUrl["scheme"], number>> = {
  nats: 4222,
  tls: 4222,
  ws: 80,
  wss: 443,
};

/** Fills in and checks options. Throws `ActorError` (`Denied`) that names what is wrong, no secret. */
export function readOptions(options: unknown): NatsSettings {
  const parsed = schema.safeParse(options);
  if (!parsed.success) {
    const { path, message } = parsed.error.issues[0]!;
    throw refused(`${path.join(".") || "options"}: ${message}`);
  }
  const { data } = parsed;
  const servers = data.servers.map(readServer);
  const isWeb = servers[0]!.scheme.startsWith("ws");
  if (servers.some(({ scheme }) => scheme.startsWith("ws") !== isWeb)) {
    throw refused("servers: WebSocket and TCP cannot be mixed");
  }
  if (isWeb && data.tls) throw refused("tls: wss:// trusts what the system trusts (DENO_CERT)");
  if ((data.tls?.certFile === undefined) !== (data.tls?.keyFile === undefined)) {
    throw refused("tls: certFile and keyFile go together");
  }
  if ((data.user === undefined) !== (data.password === undefined)) {
    throw refused("user and password go together");
  }
  const logins = (["user", "nkeySeedFile", "nkeySeed", "credentials"] as const)
    .filter((login) => data[login] !== undefined);
  if (logins.length > 1) throw refused(`${logins.join(" and ")} exclude each other`);
  return { ...data, servers };
}

function refused(what: string): ActorError {
  return new ActorError("Denied", `Cannot use NATS options, ${what}`);
}

function readServer(text: string): ServerUrl {
  const url = URL.parse(/^[a-z]+:\/\//i.test(text) ? text : `nats://${text}`);
  const scheme = url?.protocol.slice(0, -1) ?? "";
  const isKnown = (name: string): name is ServerUrl["scheme"] => Object.hasOwn(defaultPorts, name);
  if (!url || !isKnown(scheme) || url.hostname === "") {
    const start = text.replace(/^([a-z]*:?\/*)?[^/]*@/i, "$1").slice(0, 120);
    throw refused(`expected a server such as nats://host:4222: ${start}`);
  }
  if (url.username !== "" || url.password !== "") {
    throw refused(`expected user and password beside the URL, not in it: ${url.host}`);
  }
  return { scheme, host: url.hostname, port: Number(url.port || defaultPorts[scheme]) };
}

/** The text of a server's URL. */
export function formatServer({ scheme, host, port }: ServerUrl): string {
  return `${scheme}://${host}:${port}`;
}
