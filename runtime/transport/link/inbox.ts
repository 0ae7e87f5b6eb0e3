import type { DeadLetterReason } from "../../dead_letters.ts";
import type { PacketHead, PartPacket } from "./packet.ts";
import { concat } from "../pieces.ts";

/** The message of which parts have come. */
interface Assembly {
  readonly message: number;
  readonly parts: Uint8Array[];
  bytes: number;
}

/** What has come from one life of a node. */
export class Inbox {
  readonly incarnation: number;
  /** Whether the node has said what it has taken. */
  isConfirmed = false;
  /** When it was last asked. */
  greetedAt = -Infinity;
  #since: number | null = null;
  #last = -1;
  #untold = 0;
  #assembly: Assembly | null = null;

  constructor(incarnation: number) {
    this.incarnation = incarnation;
  }

  /** The number of the newest packet. */
  get last(): number {
    return this.#last;
  }

  /** The number of the first packet in the present life of this node; 0 before any. */
  get since(): number {
    return this.#since ?? 0;
  }

  /** Bytes of a message that is not whole yet. */
  get assembledBytes(): number {
    return this.#assembly?.bytes ?? 0;
  }

  /** Takes note of a packet. Answers why it is not to be used, if so. */
  admit({ sequence }: PacketHead, bytes: number): DeadLetterReason | null {
    if (sequence <= this.#last) return sequence === this.#last ? "Duplicate" : "Late";
    this.#since ??= sequence;
    this.#last = sequence;
    this.#untold += bytes;
    return null;
  }

  /** Whether the sender should be told what has come: it has sent so much since the last time. */
  isDue(bytes: number): boolean {
    if (this.#untold < bytes) return false;
    this.#untold = 0;
    return true;
  }

  /** Adds a part, and answers the message if that was the last one. Parts of a lost message are lost. */
  join({ message, offset, total, bytes }: PartPacket): Uint8Array | null {
    if (offset === 0) this.#assembly = { message, parts: [], bytes: 0 };
    const assembly = this.#assembly;
    if (assembly?.message !== message || assembly.bytes !== offset) {
      this.#assembly = null;
      return null;
    }
    assembly.parts.push(bytes);
    assembly.bytes += bytes.length;
    if (assembly.bytes < total) return null;
    this.#assembly = null;
    return concat(assembly.parts);
  }

  /** Gives up the message that is not whole. */
  abandon(): void {
    this.#assembly = null;
  }

  /** Begins a new life of this node. */
  renew(): void {
    this.#since = null;
  }
}
