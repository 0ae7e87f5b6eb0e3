import type { Clock } from "../../clock.ts";
import type { DeadLetterReason } from "../../dead_letters.ts";
import type { AnswerEnvelope, Envelope, Link } from "../envelope.ts";
import type { Loss } from "../loss.ts";
import type { OutboxLimits } from "./outbox.ts";
import { Receiver } from "./receiver.ts";
import { Sender } from "./sender.ts";
import { addressOf, inboundOf, senderOf } from "./subjects.ts";
import type { Transport, TransportEvent } from "../transport.ts";

/** What a link tells its node. */
export interface LinkEvents {
  receive(envelope: Envelope): void;
  /** A packet that came and was dropped. */
  dropped(subject: string, reason: DeadLetterReason): void;
  /** A message that was not sent after all. */
  unsent(envelope: Envelope, reason: DeadLetterReason): void;
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
 * stays at most once and in order whatever the transport does. Each life of a node, and of its connection,
 * has a number too: requests to a former one fail as soon as the next is heard of.
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
    });
    this.#receiver = new Receiver({
      clock,
      maxMessageBytes,
      tellBytes: limits.windowBytes / 8,
      greetMs: limits.probeMs,
      receive: (source, envelope) => this.#receive(source, envelope),
      dropped: events.dropped,
      reborn: (peer) => events.lost({ ...lossOf(peer, "it began a new life"), onlyServed: true }),
      greet: (peer) => this.#sender.greet(peer),
      tell: (peer, taken) => this.#sender.tell(peer, taken),
      taken: (peer, taken) => {
        const { why } = lossOf(peer, "it began a new life");
        for (const answer of this.#sender.taken(peer, taken, why)) events.receive(answer);
      },
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

  #receive(source: string, envelope: Envelope): void {
    if (isAnswer(envelope)) this.#sender.answered(source, envelope);
    this.#events.receive(envelope);
  }

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

function isAnswer(envelope: Envelope): envelope is AnswerEnvelope {
  return ["reply", "fail", "item", "end", "down"].includes(envelope.type);
}
