import {
  type NatsConnection,
  PermissionViolationError,
  type Status,
  wsconnect,
} from "@nats-io/nats-core";
import { settledWithin } from "../../clock.ts";
import { ActorError } from "../../errors.ts";
import { type Credentials, readCredentials } from "./credentials.ts";
import { type ByteStream, dial } from "./dial.ts";
import { loginError } from "./errors.ts";
import type { NatsSettings } from "./options.ts";
import { type ClientSocket, StreamSocket, WebClientSocket } from "./socket.ts";
import { type Surroundings, Waits } from "./waits.ts";

/** What a line tells its transport. */
export interface LineEvents {
  up(): void;
  down(why: string): void;
  /** The server is about to stop. */
  retiring(): void;
  /** Nobody was subscribed to what was published with this subject for the answer. */
  unheard(token: string): void;
  /** The server does not let this client use a subject. */
  refused(operation: "publish" | "subscribe", subject: string): void;
  /** Something went wrong that nobody waits for. */
  failed(error: Error): void;
}

/** The status by which a server says that nobody was subscribed. */
const noResponders = 503;

/** What a subject may not have: what would begin another command, and what is not ASCII. */
const unsafe = /[^!-~]/;

/** A message of no more bytes is copied into one piece with what goes around it. */
const smallBytes = 4096;

const lineEnd = Uint8Array.of(13, 10);

/** The pieces of a command of ASCII and what it carries. */
function publishCommand(
  line: string,
  pieces: readonly Uint8Array[],
  bytes: number,
): readonly Uint8Array[] {
  const isSmall = bytes <= smallBytes;
  const head = new Uint8Array(line.length + (isSmall ? bytes + 2 : 0));
  for (let i = 0; i < line.length; i++) head[i] = line.charCodeAt(i);
  if (!isSmall) return [head, ...pieces, lineEnd];
  let at = line.length;
  for (const piece of pieces) {
    head.set(piece, at);
    at += piece.byteLength;
  }
  head.set(lineEnd, at);
  return [head];
}

/** One connection to a NATS server, which comes back by itself for as long as it is not closed. */
export class Line {
  readonly #settings: NatsSettings;
  readonly #surroundings: Surroundings;
  readonly #events: LineEvents;
  readonly #waits: Waits;
  #client!: NatsConnection;
  #socket: ClientSocket | null = null;
  #credentials!: Credentials;
  #isLoggedIn = false;
  #isClosing = false;
  #maxPayload = 0;
  /** Why the latest socket could not be had, or came to its end. */
  #why = "not connected";

  private constructor(settings: NatsSettings, surroundings: Surroundings, events: LineEvents) {
    this.#settings = settings;
    this.#surroundings = surroundings;
    this.#events = events;
    this.#waits = new Waits(settings.reconnectMs, surroundings.rng);
  }

  /** Connects and logs in. Throws `ActorError`: `NoRoute`, `Denied`. */
  static async open(
    settings: NatsSettings,
    surroundings: Surroundings,
    events: LineEvents,
  ): Promise<Line> {
    const line = new Line(settings, surroundings, events);
    await line.#connect();
    return line;
  }

  /** Whether what is published now leaves at once. */
  get isUp(): boolean {
    return this.#isLoggedIn && this.#socket?.readyState === WebSocket.OPEN;
  }

  /** The most bytes of one publish, as the server last said. */
  get maxPayload(): number {
    return this.#maxPayload;
  }

  /** The client behind it, for more than publish and subscribe. */
  get client(): NatsConnection {
    return this.#client;
  }

  /**
   * Publishes pieces as one message, by the socket itself: the client would copy them, and would lose
   * without a word what it has not sent yet when the connection breaks.
   */
  publish(subject: string, pieces: readonly Uint8Array[], replyTo?: string): void {
    if (!this.isUp) throw new ActorError("NoRoute", `Cannot reach NATS: ${this.#why}`);
    const bytes = pieces.reduce((sum, piece) => sum + piece.byteLength, 0);
    if (bytes > this.#maxPayload) {
      const limit = this.#maxPayload;
      throw new ActorError("TooLarge", `Payload exceeds ${limit} bytes: ${bytes}`);
    }
    const { waitingBytes } = this.#socket!;
    if (waitingBytes > this.#settings.bufferBytes) {
      const message = `Network is slow, bytes that wait for it: ${waitingBytes}`;
      throw new ActorError("Overloaded", message, { retryAfterMs: 25 });
    }
    if (unsafe.test(subject) || unsafe.test(replyTo ?? "")) {
      throw new ActorError("Denied", `Cannot use as subject: ${JSON.stringify(subject)}`);
    }
    const head = replyTo === undefined ? subject : `${subject} ${replyTo}`;
    this.#socket!.write(publishCommand(`PUB ${head} ${bytes}\r\n`, pieces, bytes));
  }

  subscribe(pattern: string, callback: (subject: string, bytes: Uint8Array) => void): () => void {
    const subscription = this.#client.subscribe(pattern, {
      callback: (error, message) => {
        // An error is in the client's status too; one that is thrown here would end its reading.
        if (error) return;
        try {
          if (message.headers?.code === noResponders) this.#events.unheard(message.subject);
          else callback(message.subject, message.data);
        } catch (thrown) {
          this.#events.failed(thrown as Error);
        }
      },
    });
    return () => subscription.unsubscribe();
  }

  /** Resolves once the server has handled all that was sent. Rejects with `NoRoute`. */
  async flush(): Promise<void> {
    try {
      await this.#client.flush();
    } catch {
      throw new ActorError("NoRoute", `Cannot reach NATS: ${this.#why}`);
    }
  }

  /** Lets what is on its way arrive, for a while, and closes. */
  async close(): Promise<void> {
    const { clock } = this.#surroundings;
    if (this.isUp) await settledWithin(clock, this.#settings.drainMs, [this.#client.drain()]);
    this.#isClosing = true;
    await this.#client.close().catch(() => {});
  }

  // Connecting.

  async #connect(): Promise<void> {
    const { servers, name, inboxPrefix, pingIntervalMs, connectTimeoutMs } = this.#settings;
    this.#credentials = await readCredentials(this.#settings);
    const isSafe = (scheme: string) => scheme === "tls" || scheme === "wss";
    try {
      this.#client = await wsconnect({
        servers: servers.map(({ scheme, host, port }) =>
          `${isSafe(scheme) ? "wss" : "ws"}://${host}:${port}`
        ),
        ...(name === undefined ? {} : { name }),
        inboxPrefix,
        pingInterval: pingIntervalMs,
        maxPingOut: 2,
        timeout: connectTimeoutMs,
        maxReconnectAttempts: -1,
        ignoreAuthErrorAbort: true,
        noAsyncTraces: true,
        reconnectDelayHandler: () => this.#waits.next(),
        authenticator: (nonce) => this.#credentials.authenticator(nonce),
        // The client uses no more of a `WebSocket` than a `ClientSocket` has.
        wsFactory: (url) =>
          Promise.resolve({
            socket: this.#open(url) as unknown as WebSocket,
            encrypted: url.startsWith("wss:"),
          }),
      });
    } catch (thrown) {
      throw loginError(thrown, this.#why, this.#settings);
    }
    void this.#follow(this.#client.status());
    this.#welcome();
  }

  /** A socket that is still to open: the client hears of a failure by the socket only. */
  #open(url: string): ClientSocket {
    const ended = (socket: ClientSocket, why: string) => this.#ended(socket, why);
    const isWeb = this.#settings.servers[0]!.scheme.startsWith("ws");
    return this.#socket = isWeb
      ? new WebClientSocket(url, ended)
      : new StreamSocket(this.#dial(url), ended);
  }

  async #dial(url: string): Promise<ByteStream> {
    if (this.#isClosing) throw new ActorError("Terminated", "Connection is closed");
    this.#credentials = await readCredentials(this.#settings);
    const { protocol, hostname: host, port } = new URL(url.replace(/^ws/, "nats"));
    const scheme = protocol === "natss:" ? "tls" : "nats";
    return await dial({ scheme, host, port: Number(port) }, this.#credentials.tls);
  }

  // Following.

  #welcome(): void {
    if (this.#socket?.readyState !== WebSocket.OPEN) return;
    this.#maxPayload = this.#client.info?.max_payload ?? this.#maxPayload;
    this.#isLoggedIn = true;
    this.#waits.reset();
    this.#events.up();
  }

  #ended(socket: ClientSocket, why: string): void {
    if (socket !== this.#socket) return;
    this.#why = why === "" ? "connection was closed" : why;
    if (!this.#isLoggedIn) return;
    this.#isLoggedIn = false;
    this.#events.down(this.#why);
  }

  async #follow(statuses: AsyncIterable<Status>): Promise<void> {
    for await (const status of statuses) {
      if (status.type === "reconnect") this.#welcome();
      else if (status.type === "ldm") this.#events.retiring();
      else if (status.type === "error") this.#report(status.error);
    }
  }

  #report(error: Error): void {
    if (!(error instanceof PermissionViolationError)) return this.#events.failed(error);
    const operation = error.operation === "publish" ? "publish" : "subscribe";
    this.#events.refused(operation, error.subject);
  }
}
