import { ActorError } from "../../errors.ts";
import type { Movable } from "../../ref.ts";
import { checkEnvelope, type Envelope, type Link } from "../envelope.ts";
import type { Loss } from "../loss.ts";

/** One end of the channel between a Worker and the isolate that made it. */
export interface Port {
  /** Sends by structured clone. */
  postMessage(message: unknown, transfer: Transferable[]): void;
  /** Listens for messages. */
  addEventListener(type: "message", listener: (event: MessageEvent) => void): void;
  /** Listens no more. */
  removeEventListener(type: "message", listener: (event: MessageEvent) => void): void;
}

/** Sent by the thread once it listens, and by its owner as the answer to it. */
export type Handshake =
  | { readonly handshake: "listening" }
  | { readonly handshake: "attach"; readonly node: string; readonly lane: string }
  | { readonly handshake: "attached" }
  | { readonly handshake: "lost"; readonly loss: Loss };

function isTransferable(buffer: Movable): buffer is Transferable {
  return !(buffer instanceof SharedArrayBuffer);
}

/** Envelopes through `postMessage`: structured clone, never JSON; buffers may be transferred. */
export class PortLink implements Link {
  readonly #port: Port;
  readonly #listener: (event: MessageEvent) => void;
  #queued: [Envelope, readonly Movable[]][] | null = [];
  #closed: ActorError | null = null;

  constructor(
    port: Port,
    receive: (envelope: Envelope) => void,
    handshake: (message: Handshake) => void,
  ) {
    this.#port = port;
    this.#listener = ({ data }) => {
      if (typeof data?.handshake === "string") return handshake(data);
      const envelope = checkEnvelope(data);
      if (envelope) receive(envelope);
    };
    port.addEventListener("message", this.#listener);
  }

  send(envelope: Envelope, transfer: readonly Movable[] = []): void {
    if (this.#closed) throw this.#closed;
    if (this.#queued) this.#queued.push([envelope, transfer]);
    else this.#post(envelope, transfer);
  }

  /** Lets what was queued go: the other end listens. */
  open(): void {
    const queued = this.#queued ?? [];
    this.#queued = null;
    for (const [envelope, transfer] of queued) this.#post(envelope, transfer);
  }

  shake(message: Handshake): void {
    this.#port.postMessage(message, []);
  }

  /** Sends nothing more; `send()` throws the error. */
  close(error: ActorError = new ActorError("Terminated", "Thread is closed")): void {
    this.#closed ??= error;
    this.#queued = null;
    this.#port.removeEventListener("message", this.#listener);
  }

  #post(envelope: Envelope, transfer: readonly Movable[]): void {
    try {
      this.#port.postMessage(envelope, transfer.filter(isTransferable));
    } catch (thrown) {
      const why = thrown instanceof Error ? thrown.message : String(thrown);
      throw new ActorError("AppError", `Cannot send message: ${why}`, { cause: thrown });
    }
  }
}
