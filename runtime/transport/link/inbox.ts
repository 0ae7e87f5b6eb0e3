import type { DeadLetterReason } from "../../dead_letters.ts";
import { concat } from "../pieces.ts";
import { type Gap, maxGaps, type PacketHead, type PartPacket, type Taken } from "./packet.ts";

/** What becomes of a packet: it is used, or dropped. */
export type Admission = "used" | Extract<DeadLetterReason, "Duplicate" | "Late">;

/** The message of which parts have come. */
interface Assembly {
  readonly message: number;
  readonly parts: Uint8Array[];
  bytes: number;
}

/** What has come from one life of a node, in the present life of this one. */
export class Inbox {
  readonly incarnation: number;
  /** Whether the node has said what it has taken. */
  isConfirmed = false;
  /** When it was last asked. */
  greetedAt = -Infinity;
  /** The number of the first packet that counts; null before any. */
  #since: number | null = null;
  #next = 0;
  #gaps: readonly Gap[] = [];
  #isNewlyMissed = false;
  #untold = 0;
  #assembly: Assembly | null = null;

  constructor(incarnation: number) {
    this.incarnation = incarnation;
  }

  /** What the node is told; `base` is what this node has to add. Until confirmed, that is all. */
  taken(base: number): Taken {
    const { incarnation: of } = this;
    if (!this.isConfirmed) return { of, upTo: 0, since: 0, base, gaps: [] };
    return { of, upTo: this.#next, since: this.#since ?? 0, base, gaps: this.#gaps };
  }

  /** Whether packets have been missed of late. */
  get hasGaps(): boolean {
    return this.#gaps.length > 0;
  }

  /** Bytes of a message that is not whole yet. */
  get assembledBytes(): number {
    return this.#assembly?.bytes ?? 0;
  }

  /** Takes note of a packet. */
  admit({ sequence }: PacketHead, bytes: number): Admission {
    if (sequence < this.#next) return sequence === this.#next - 1 ? "Duplicate" : "Late";
    if (this.#since === null) this.#since = sequence;
    else this.#miss(this.#next, sequence);
    this.#next = sequence + 1;
    this.#untold += bytes;
    return "used";
  }

  /** Takes note of how much the node says it has sent to the present life of this one. */
  confirm({ sequence: newest }: PacketHead, { base }: Taken): void {
    this.isConfirmed = true;
    if (this.#since === null) {
      if (newest < base) return;
      this.#since = this.#next = Math.max(base, this.#next);
    } else if (base < this.#since) {
      this.#miss(base, this.#since);
      this.#since = base;
    }
    if (newest < this.#next) return;
    this.#miss(this.#next, newest + 1);
    this.#next = newest + 1;
  }

  #miss(from: number, to: number): void {
    if (from >= to) return;
    const gaps = [...this.#gaps, { from, to }];
    // Where there are too many, what lies between two of them counts as missed.
    const [first, second, ...rest] = gaps;
    this.#gaps = gaps.length > maxGaps ? [{ from: first!.from, to: second!.to }, ...rest] : gaps;
    this.#isNewlyMissed = true;
  }

  /** Whether packets have been missed since this was last asked. */
  takeMissed(): boolean {
    const isMissed = this.#isNewlyMissed;
    this.#isNewlyMissed = false;
    return isMissed;
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

  /** Begins a new life of this node: what came before does not count. */
  renew(): void {
    this.#since = null;
    this.#gaps = [];
    this.isConfirmed = false;
    this.greetedAt = -Infinity;
  }
}
