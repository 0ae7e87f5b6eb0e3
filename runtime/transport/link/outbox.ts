import type { Clock } from "../../clock.ts";
import type { DeadLetterReason } from "../../dead_letters.ts";
import { ActorError } from "../../errors.ts";
import type { Envelope } from "../envelope.ts";
import { partBytes } from "./packet.ts";
import { remember, type Sent } from "./sent_log.ts";

/** How much of large messages may be on its way to a node, and how much may wait. */
export interface OutboxLimits {
  /** Messages of more bytes are large: they go one after another, as the receiver takes them. */
  readonly largeBytes: number;
  /** Bytes of large messages that the receiver has not taken yet. */
  readonly windowBytes: number;
  /** Bytes that may wait for a receiver; more are refused with `Overloaded`. */
  readonly waitingBytes: number;
  /** How often a receiver is asked what it has taken when it does not say so by itself. */
  readonly probeMs: number;
  /** How many such questions without an answer make it lost. */
  readonly probes: number;
}

/** A message on its way. */
export interface OutboxItem {
  readonly envelope: Envelope;
  readonly subject: string;
  readonly message: Uint8Array;
  /** What is remembered of it, the same for all its parts. */
  readonly sent: Sent;
}

/** What an outbox needs of its link. Whatever is published gets a number, which is answered. */
export interface OutboxHost {
  readonly clock: Clock;
  readonly maxPayload: number;
  publishWhole(item: OutboxItem): number;
  publishPart(item: OutboxItem, part: OutboxPart): number;
  /** Asks the receiver what it has taken. */
  probe(): void;
  /** A message that was not sent after all. */
  dropped(envelope: Envelope, reason: DeadLetterReason): void;
  /** The receiver takes nothing any more. */
  lost(): void;
}

/** A part of a message; the first one has no number of a message yet. */
export interface OutboxPart {
  readonly message: number | undefined;
  readonly offset: number;
  readonly total: number;
  readonly bytes: Uint8Array;
}

interface Item extends OutboxItem {
  readonly keys: readonly string[];
  /** Bytes that have gone, and the number of the first part. */
  gone: number;
  first: number | undefined;
}

/**
 * What waits to go to one node. Large messages go in turn and in parts, no faster than they are taken;
 * small ones pass them by, unless they must stay behind one for the same actor or exchange.
 */
export class Outbox {
  readonly #limits: OutboxLimits;
  readonly #host: OutboxHost;
  readonly #queue: Item[] = [];
  readonly #keys = new Map<string, number>();
  readonly #inFlight: { readonly sequence: number; readonly bytes: number }[] = [];
  #waitingBytes = 0;
  #inFlightBytes = 0;
  #unanswered = 0;
  #cancelProbe: (() => void) | null = null;

  constructor(limits: OutboxLimits, host: OutboxHost) {
    this.#limits = limits;
    this.#host = host;
  }

  /** Nothing waits and nothing is on its way. */
  get isIdle(): boolean {
    return this.#queue.length === 0 && this.#inFlight.length === 0;
  }

  /** Whether a message must wait: it is large, or belongs behind one that waits. */
  mustWait(envelope: Envelope, message: Uint8Array): boolean {
    if (message.byteLength > this.#limits.largeBytes) return true;
    return this.#queue.length > 0 && keysOf(envelope).some((key) => this.#keys.has(key));
  }

  /** Sends in turn. Throws `ActorError`: `Overloaded`, and what the transport throws. */
  send(envelope: Envelope, subject: string, message: Uint8Array): void {
    if (envelope.type === "cancel" && this.#withdraw(envelope)) return;
    const waiting = this.#waitingBytes + message.byteLength;
    if (this.#queue.length > 0 && waiting > this.#limits.waitingBytes) {
      const text = `Receiver is slow, bytes that wait for it: ${this.#waitingBytes}`;
      throw new ActorError("Overloaded", text, { retryAfterMs: 100 });
    }
    const [sent, keys] = [remember(envelope), keysOf(envelope)];
    const item = { envelope, subject, message, sent, keys, gone: 0, first: undefined };
    this.#add(item);
    try {
      this.#pump();
    } catch (thrown) {
      if (this.#queue.at(-1) !== item) return;
      this.#remove(item);
      this.#watch();
      throw thrown;
    }
  }

  /** The receiver has taken everything before a number, or will never get it. */
  taken(upTo: number): void {
    this.#unanswered = 0;
    while (this.#inFlight.length > 0 && this.#inFlight[0]!.sequence < upTo) {
      this.#inFlightBytes -= this.#inFlight.shift()!.bytes;
    }
    this.#resume();
  }

  /** Gives up all that waits. */
  clear(reason: DeadLetterReason): void {
    for (const { envelope } of this.#queue) this.#host.dropped(envelope, reason);
    this.#queue.length = this.#inFlight.length = 0;
    this.#keys.clear();
    this.#waitingBytes = this.#inFlightBytes = this.#unanswered = 0;
    this.#unwatch();
  }

  /** Sends on after a while or an answer; the transport itself tells of what fails then. */
  #resume(): void {
    try {
      this.#pump();
    } catch (thrown) {
      if (!(thrown instanceof ActorError)) throw thrown;
    }
  }

  #pump(): void {
    try {
      for (let item = this.#queue[0]; item; item = this.#queue[0]) {
        if (this.#isExpired(item)) this.#expire(item);
        else if (this.#isOpen(item)) this.#sendSome(item);
        else break;
      }
    } finally {
      this.#watch();
    }
  }

  #isExpired({ envelope, first }: Item): boolean {
    const deadline = "deadline" in envelope ? envelope.deadline : Infinity;
    return first === undefined && deadline <= this.#host.clock.now();
  }

  #expire(item: Item): void {
    this.#remove(item);
    this.#host.dropped(item.envelope, "Expired");
  }

  /** Whether the next bytes of it may go. */
  #isOpen(item: Item): boolean {
    const { largeBytes, windowBytes } = this.#limits;
    if (item.message.byteLength <= largeBytes || this.#inFlightBytes === 0) return true;
    return this.#inFlightBytes + this.#sizeOfNext(item) <= windowBytes;
  }

  #sizeOfNext({ message, gone }: Item): number {
    const { maxPayload } = this.#host;
    if (message.byteLength <= maxPayload) return message.byteLength;
    return Math.min(partBytes(maxPayload), message.byteLength - gone);
  }

  #sendSome(item: Item): void {
    const { message, gone } = item;
    const bytes = this.#sizeOfNext(item);
    const sequence = bytes === message.byteLength
      ? this.#host.publishWhole(item)
      : this.#host.publishPart(item, {
        message: item.first,
        offset: gone,
        total: message.byteLength,
        bytes: message.subarray(gone, gone + bytes),
      });
    item.first ??= sequence;
    item.gone += bytes;
    if (message.byteLength > this.#limits.largeBytes) {
      this.#inFlight.push({ sequence, bytes });
      this.#inFlightBytes += bytes;
    }
    if (item.gone === message.byteLength) this.#remove(item);
  }

  /** Asks from time to time, as long as something waits, since answers may be lost. */
  #watch(): void {
    if (this.#queue.length === 0) return this.#unwatch();
    this.#cancelProbe ??= this.#host.clock.setTimer(this.#limits.probeMs, () => {
      this.#cancelProbe = null;
      if (this.#unanswered++ >= this.#limits.probes) return this.#host.lost();
      this.#host.probe();
      this.#resume();
    });
  }

  #unwatch(): void {
    this.#cancelProbe?.();
    this.#cancelProbe = null;
  }

  #withdraw({ from, id }: Envelope & { readonly from: string; readonly id: number }): boolean {
    const key = `${from}#${id}`;
    const item = this.#queue.find(({ keys, first }) => first === undefined && keys[1] === key);
    if (!item) return false;
    this.#remove(item);
    this.#watch();
    return true;
  }

  #add(item: Item): void {
    this.#queue.push(item);
    this.#waitingBytes += item.message.byteLength;
    for (const key of item.keys) this.#keys.set(key, (this.#keys.get(key) ?? 0) + 1);
  }

  #remove(item: Item): void {
    this.#queue.splice(this.#queue.indexOf(item), 1);
    this.#waitingBytes -= item.message.byteLength;
    for (const key of item.keys) {
      const left = this.#keys.get(key)! - 1;
      if (left === 0) this.#keys.delete(key);
      else this.#keys.set(key, left);
    }
  }
}

/** What a message must stay in order with: others for the same actor, others of the same exchange. */
function keysOf(envelope: Envelope): string[] {
  switch (envelope.type) {
    case "tell":
      return [envelope.to];
    case "ask":
    case "stream":
    case "watch":
      return [envelope.to, `${envelope.from}#${envelope.id}`];
    case "cancel":
    case "credit":
      return [`${envelope.from}#${envelope.id}`];
    default:
      return [`${envelope.to}#${envelope.id}`];
  }
}
