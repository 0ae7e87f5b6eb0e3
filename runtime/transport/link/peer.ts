import type { Outbox } from "./outbox.ts";
import { PendingRequests } from "./pending.ts";
import { SentLog } from "./sent_log.ts";

/** A node that is sent to. */
export class Peer {
  /** Requests that it owes an answer to. */
  readonly pending = new PendingRequests();
  /** What was sent to it, by the numbers of the packets. */
  readonly log = new SentLog();
  /** What waits for it to take more. */
  outbox: Outbox | null = null;
  /** The number of the first packet to its present life. */
  base = 0;

  /** The number of the next packet to it. */
  get next(): number {
    return this.log.next;
  }
}
