import { concat } from "../pieces.ts";
import type { ByteStream } from "./dial.ts";

/** The part of `WebSocket` that the NATS client uses, and a way to write past the client. */
export interface ClientSocket {
  binaryType: BinaryType;
  readonly bufferedAmount: number;
  readonly readyState: number;
  onopen: (() => void) | null;
  onmessage: ((event: { readonly data: ArrayBuffer }) => void) | null;
  onerror: ((event: { readonly message: string }) => void) | null;
  onclose: ((event: { readonly wasClean: boolean; readonly reason: string }) => void) | null;
  send(bytes: ArrayBuffer): void;
  close(): void;
  /** Bytes that are not with the network yet. */
  readonly waitingBytes: number;
  /** Writes whole commands, after all that the client does in this turn of the event loop so far. */
  write(pieces: readonly Uint8Array[]): void;
}

/** Called once when a socket is no more; the reason is empty if it was closed on this side. */
export type Ended = (socket: ClientSocket, reason: string) => void;

const mostTogether = 1 << 16;

/**
 * A byte stream in the shape of a `WebSocket`. The NATS client takes the socket of each connection
 * from a factory, so TCP, TLS and WebSockets live side by side in one process.
 */
export class StreamSocket implements ClientSocket {
  binaryType: BinaryType = "arraybuffer";
  /** None: the client waits for it before it gives up a server that takes nothing any more. */
  readonly bufferedAmount = 0;
  onopen: ClientSocket["onopen"] = null;
  onmessage: ClientSocket["onmessage"] = null;
  onerror: ClientSocket["onerror"] = null;
  onclose: ClientSocket["onclose"] = null;
  readonly #ended: Ended;
  #stream: ByteStream | null = null;
  readonly #batch: Uint8Array[] = [];
  #queue: Uint8Array[] = [];
  #waitingBytes = 0;
  #isWriting = false;
  #isClosed = false;

  constructor(opening: Promise<ByteStream>, ended: Ended) {
    this.#ended = ended;
    void this.#run(opening);
  }

  get waitingBytes(): number {
    return this.#waitingBytes;
  }

  get readyState(): number {
    if (this.#isClosed) return WebSocket.CLOSED;
    return this.#stream ? WebSocket.OPEN : WebSocket.CONNECTING;
  }

  send(bytes: ArrayBuffer): void {
    this.#waitingBytes += bytes.byteLength;
    this.#enqueue([new Uint8Array(bytes)]);
  }

  write(pieces: readonly Uint8Array[]): void {
    for (const piece of pieces) this.#waitingBytes += piece.byteLength;
    // The client, too, sends at the end of the turn what it was told to do in it.
    if (this.#batch.length === 0) queueMicrotask(() => this.#enqueue(this.#batch.splice(0)));
    this.#batch.push(...pieces);
  }

  close(): void {
    this.#end("");
  }

  async #run(opening: Promise<ByteStream>): Promise<void> {
    try {
      const stream = await opening;
      if (this.#isClosed) return stream.close();
      this.#stream = stream;
      for await (const data of stream.chunks) {
        if (this.#isClosed) return;
        this.onmessage?.({ data });
      }
      this.#end("Server closed the connection");
    } catch (thrown) {
      this.#end(thrown instanceof Error ? thrown.message : String(thrown));
    }
  }

  #enqueue(pieces: readonly Uint8Array[]): void {
    if (this.#isClosed) return;
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
      this.#end(thrown instanceof Error ? thrown.message : String(thrown));
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

  #end(reason: string): void {
    if (this.#isClosed) return;
    const wasOpen = this.#stream !== null;
    this.#isClosed = true;
    this.#queue = [];
    this.#stream?.close();
    this.#stream = null;
    this.#ended(this, reason);
    // The client awaits a socket before it listens to it, and a failed one tells of an error first.
    queueMicrotask(() => {
      if (!wasOpen) this.onerror?.({ message: reason });
      this.onclose?.({ wasClean: reason === "", reason });
    });
  }
}

/** A real `WebSocket`. Each write is one frame, since it holds back a second one until the first is acknowledged. */
export function openWebSocket(url: string, ended: Ended): ClientSocket {
  const socket = new WebSocket(url);
  const client = Object.defineProperties(socket, {
    waitingBytes: { get: () => socket.bufferedAmount },
    write: {
      value: (pieces: readonly Uint8Array[]) => queueMicrotask(() => socket.send(concat(pieces))),
    },
  }) as unknown as ClientSocket;
  socket.addEventListener("close", ({ reason }) => ended(client, reason));
  return client;
}
