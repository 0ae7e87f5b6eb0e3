import type { Clock } from "../../clock.ts";
import type { DeadLetterReason } from "../../dead_letters.ts";
import { ActorError } from "../../errors.ts";
import type { Envelope, Link } from "../envelope.ts";
import type { Loss } from "../loss.ts";
import type { Transport, TransportEvent } from "../transport.ts";
import type { OutboxLimits } from "./outbox.ts";
import type { Taken } from "./packet.ts";
import { failureOf, isAnswer } from "./pending.ts";
import { Receiver } from "./receiver.ts";
import { Sender } from "./sender.ts";
import type { AnswerHead, Sent } from "./sent_log.ts";
import { addressOf, inboundOf, senderOf } from "./subjects.ts";

/** What a link tells its node. */
export interface LinkEvents {
  receive(envelope: Envelope): void;
  /** A packet that came and was dropped. */
  dropped(subject: string, reason: DeadLetterReason): void;
  /** A message that was not sent after all. */
  unsent(envelope: Envelope, reason: DeadLetterReason): void;
  /** A message without an answer that did not arrive. */
  missing(to: string, method: string): void;
  /** Nodes are gone, or this node was cut off from them. */
  lost(loss: Loss): void;
  /** The transport does not let this node send to an address or endpoint. */
  refused(to: string): void;
  /** Something else that an operator should know of the transport. */
  warn(what: string): void;
}

/** How a transport link works. */
export interface TransportLinkOptions {
  readonly node: string;
  readonly clock: Clock;
  /** A number that grows from one life of the node to the next. */
  newIncarnation(): number;
  /** The most bytes of one message; 64 MiB by default. */
  readonly maxMessageBytes?: number;
  /** How large messages are kept from filling the memory of receivers, senders and the network. */
  readonly limits?: Partial<OutboxLimits>;
}

const defaultMaxMessageBytes = 64 * 2 ** 20;
const defaultLimits: OutboxLimits = {
  largeBytes: 64 * 2 ** 10,
  windowBytes: 4 * 2 ** 20,
  waitingBytes: 64 * 2 ** 20,
  probeMs: 500,
  probes: 20,
};

/**
 * Envelopes over a transport. Packets are numbered: what comes twice or late is dropped, so that delivery
 * stays at most once and in order whatever the transport does, and what is lost is told to its sender, which
 * fails what depended on it. Each life of a node, and of its connection, has a number too: requests to a
 * former one fail as soon as the next is heard of.
 */
export class TransportLink implements Link {
  readonly #transport: Transport;
  readonly #node: string;
  readonly #events: LinkEvents;
  readonly #sender: Sender;
  readonly #receiver: Receiver;
  readonly #leave: readonly (() => void)[];

  constructor(transport: Transport, options: TransportLinkOptions, events: LinkEvents) {
    const { node, clock, newIncarnation, maxMessageBytes = defaultMaxMessageBytes } = options;
    const limits = { ...defaultLimits, ...options.limits };
    this.#transport = transport;
    this.#node = node;
    this.#events = events;
    this.#sender = new Sender({
      node,
      clock,
      transport,
      maxMessageBytes,
      limits,
      newIncarnation,
      unsent: events.unsent,
      stuck: (peer) => events.lost(lossOf(peer, "it takes nothing any more")),
      owes: (peer) => this.#receiver.remind(peer),
    });
    this.#receiver = new Receiver({
      clock,
      maxMessageBytes,
      tellBytes: limits.windowBytes / 8,
      greetMs: limits.probeMs,
      receive: (source, envelope) => this.#receive(source, envelope),
      dropped: events.dropped,
      met: (peer, isReborn) => this.#meet(peer, isReborn),
      greet: (peer) => this.#sender.greet(peer),
      tell: (peer, inbox) => this.#sender.tell(peer, inbox),
      taken: (peer, taken) => this.#taken(peer, taken),
    });
    this.#leave = [
      transport.subscribe(
        inboundOf(node),
        (subject, bytes) => this.#receiver.arrive(subject, bytes),
      ),
      transport.watch((event) => this.#follow(event)),
    ];
  }

  send(envelope: Envelope): void {
    this.#sender.send(envelope);
  }

  lost(loss: Loss): void {
    if (loss.onlyServed) return;
    this.#sender.lost(loss);
    this.#receiver.lost(loss);
  }

  async close(): Promise<void> {
    for (const leave of this.#leave) leave();
    this.lost({ prefix: "", why: "Link was closed" });
    this.#sender.close();
    await this.#transport.close();
  }

  #meet(peer: string, isReborn: boolean): void {
    this.#sender.met(peer);
    if (!isReborn) return;
    this.#events.lost({ ...lossOf(peer, "it began a new life"), onlyServed: true });
  }

  #receive(source: string, envelope: Envelope): void {
    const isLast = isAnswer(envelope) && envelope.type !== "item";
    if (isLast) this.#sender.settle(source, envelope.to, envelope.id);
    this.#events.receive(envelope);
  }

  // What a node has not got.

  #taken(peer: string, taken: Taken): boolean {
    const missed = this.#sender.taken(peer, taken);
    if (missed === null) return false;
    const { why } = lossOf(peer, "it began a new life");
    for (const head of missed.formerly) {
      this.#events.receive(failureOf(head, { code: "Terminated", message: why, retryable: false }));
    }
    for (const sent of missed.lost ?? []) this.#makeGood(peer, sent);
    if (!missed.lost) this.#events.lost(lossOf(peer, "messages were lost on their way"));
    return true;
  }

  /** A message was lost: whoever waits for what it would have brought about is told. */
  #makeGood(peer: string, sent: Sent): void {
    if (sent.kind === "tell") this.#events.missing(sent.to, sent.method);
    else if (sent.kind === "repeatable") this.#sendQuietly(sent.envelope);
    else if (sent.kind === "answer") this.#failAnswer(sent.head);
    else if (this.#sender.settle(peer, sent.head.from, sent.head.id)) {
      const message = `Message was lost on its way to: ${sent.head.to}`;
      this.#events.receive(failureOf(sent.head, { code: "NoRoute", message, retryable: true }));
    }
  }

  /** Ends what was being answered, here and where it was asked. */
  #failAnswer({ type, to, from, id }: AnswerHead): void {
    this.#events.receive({ type: "cancel", to: from, from: to, id });
    const message = "Answer was lost on its way";
    const error = { code: "Terminated", message, retryable: false } as const;
    const reason = { type: "Lost", message } as const;
    if (type === "down") this.#sendQuietly({ type, to, from, id, reason });
    else this.#sendQuietly({ type: "fail", to, from, id, error });
  }

  #sendQuietly(envelope: Envelope): void {
    try {
      this.#sender.send(envelope);
    } catch (thrown) {
      if (!(thrown instanceof ActorError)) throw thrown;
    }
  }

  // The transport itself.

  #follow(event: TransportEvent): void {
    if (event.type === "up") this.#comeBack();
    else if (event.type === "down") this.#cutOff(event.why);
    else if (event.type === "refused") this.#refused(event);
    else if (event.type === "unheard") this.#unheard(event.token);
    else if (event.type === "failed") this.#events.warn(event.error.message);
    else this.#events.warn("its server is about to stop");
  }

  #cutOff(why: string): void {
    this.#events.lost({ prefix: "", except: `${this.#node}/`, why: `Node is cut off: ${why}` });
  }

  #unheard(token: string): void {
    this.#events.lost(lossOf(senderOf(token), "it is not connected"));
  }

  /** After a cut nobody knows what was lost: a new life begins, and the others hear of it at once. */
  #comeBack(): void {
    this.#sender.renew();
    this.#receiver.renew();
    for (const node of this.#receiver.nodes) this.#sender.greet(node);
  }

  #refused({ operation, subject }: Extract<TransportEvent, { readonly type: "refused" }>): void {
    const to = operation === "publish" ? addressOf(subject) : null;
    if (to === null) this.#events.warn(`it may not ${operation}: ${subject}`);
    else this.#events.refused(to);
  }
}

function lossOf(node: string, why: string): Loss {
  return { prefix: `${node}/`, why: `Node ${node}: ${why}` };
}
