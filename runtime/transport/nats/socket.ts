import { concat } from "../pieces.ts";
import type { ByteStream } from "./dial.ts";

/** Called once when a socket is no more; the reason is empty if it was closed on this side. */
export type Ended = (socket: ClientSocket, reason: string) => void;

/**
 * The part of `WebSocket` that the NATS client uses, and a way to write past the client. The client takes
 * the socket of each connection from a factory, so TCP, TLS and WebSockets live side by side in a process.
 */
export abstract class ClientSocket {
  binaryType: BinaryType = "arraybuffer";
  /** None: the client waits for it, maybe for ever, before it gives up a server that takes nothing. */
  readonly bufferedAmount = 0;
  onopen: (() => void) | null = null;
  onmessage: ((event: { readonly data: ArrayBuffer }) => void) | null = null;
  onerror: ((event: { readonly message: string }) => void) | null = null;
  onclose: ((event: { readonly wasClean: boolean; readonly reason: string }) => void) | null = null;
  readonly #ended: Ended;
  #wasOpen = false;
  #isClosed = false;

  constructor(ended: Ended) {
    this.#ended = ended;
  }

  get readyState(): number {
    if (this.#isClosed) return WebSocket.CLOSED;
    return this.#wasOpen ? WebSocket.OPEN : WebSocket.CONNECTING;
  }

  /** Bytes that are not with the network yet. */
  abstract get waitingBytes(): number;

  abstract send(bytes: ArrayBuffer): void;

  /** Writes whole commands, after all that the client does in this turn of the event loop so far. */
  abstract write(pieces: readonly Uint8Array[]): void;

  close(): void {
    this.end("");
  }

  /** Releases what is below it. */
  protected abstract release(): void;

  protected opened(): void {
    this.#wasOpen = true;
  }

  /** Ends it at once, whether or not the server has heard of it. */
  protected end(reason: string): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.release();
    this.#ended(this, reason);
    // The client awaits a socket before it listens to it, and a failed one tells of an error first.
    queueMicrotask(() => {
      if (!this.#wasOpen) this.onerror?.({ message: reason });
      this.onclose?.({ wasClean: reason === "", reason });
    });
  }
}

const mostTogether = 1 << 16;

/** A stream of bytes. */
export class StreamSocket extends ClientSocket {
  #stream: ByteStream | null = null;
  readonly #batch: Uint8Array[] = [];
  #queue: Uint8Array[] = [];
  #waitingBytes = 0;
  #isWriting = false;

  constructor(opening: Promise<ByteStream>, ended: Ended) {
    super(ended);
    void this.#run(opening);
  }

  override get waitingBytes(): number {
    return this.#waitingBytes;
  }

  override send(bytes: ArrayBuffer): void {
    this.#waitingBytes += bytes.byteLength;
    this.#enqueue([new Uint8Array(bytes)]);
  }

  override write(pieces: readonly Uint8Array[]): void {
    for (const piece of pieces) this.#waitingBytes += piece.byteLength;
    // The client, too, sends at the end of the turn what it was told to do in it.
    if (this.#batch.length === 0) queueMicrotask(() => this.#enqueue(this.#batch.splice(0)));
    this.#batch.push(...pieces);
  }

  protected override release(): void {
    this.#queue = [];
    this.#stream?.close();
    this.#stream = null;
  }

  async #run(opening: Promise<ByteStream>): Promise<void> {
    try {
      const stream = await opening;
      if (this.readyState === WebSocket.CLOSED) return stream.close();
      this.#stream = stream;
      this.opened();
      for (let data = await stream.read(); data !== null; data = await stream.read()) {
        if (!this.#stream) return;
        this.onmessage?.({ data });
      }
      this.end("Server closed the connection");
    } catch (thrown) {
      this.end(thrown instanceof Error ? thrown.message : String(thrown));
    }
  }

  #enqueue(pieces: readonly Uint8Array[]): void {
    if (this.readyState === WebSocket.CLOSED) return;
    this.#queue.push(...pieces);
    if (!this.#isWriting) void this.#write();
  }

  async #write(): Promise<void> {
    this.#isWriting = true;
    try {
      while (this.#stream && this.#queue.length > 0) {
        const bytes = this.#take();
        await this.#stream.write(bytes);
        this.#waitingBytes -= bytes.byteLength;
      }
    } catch (thrown) {
      this.end(thrown instanceof Error ? thrown.message : String(thrown));
    }
    this.#isWriting = false;
  }

  /** The next bytes to write: small pieces together, since each write costs the same. */
  #take(): Uint8Array {
    let count = 0;
    let bytes = 0;
    for (const piece of this.#queue) {
      if (count > 0 && bytes + piece.byteLength > mostTogether) break;
      bytes += piece.byteLength;
      count++;
    }
    return concat(this.#queue.splice(0, count));
  }
}

/** A real `WebSocket`. */
export class WebClientSocket extends ClientSocket {
  readonly #socket: WebSocket;

  constructor(url: string, ended: Ended) {
    super(ended);
    this.#socket = new WebSocket(url);
    this.#socket.binaryType = "arraybuffer";
    this.#socket.onopen = () => this.opened();
    this.#socket.onmessage = ({ data }) => this.onmessage?.({ data });
    this.#socket.onerror = (event) => this.end((event as ErrorEvent).message);
    this.#socket.onclose = ({ reason }) => this.end(reason || "Server closed the connection");
  }

  override get waitingBytes(): number {
    return this.#socket.bufferedAmount;
  }

  override send(bytes: ArrayBuffer): void {
    if (this.readyState === WebSocket.OPEN) this.#socket.send(bytes);
  }

  /** One frame a message: it holds back a second one until the first is acknowledged. */
  override write(pieces: readonly Uint8Array[]): void {
    queueMicrotask(() => {
      if (this.readyState === WebSocket.OPEN) this.#socket.send(concat(pieces));
    });
  }

  protected override release(): void {
    this.#socket.onmessage = null;
    this.#socket.close();
  }
}
