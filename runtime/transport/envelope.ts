import type { WireError } from "../errors.ts";
import type { Loss } from "./loss.ts";
import type { Movable, TerminationReason } from "../ref.ts";

/**
 * What crosses lanes. `to` is an actor's address or, for answers, an endpoint (`node/lane`); `from`
 * is the endpoint that sends it, and that answers go to; `id` is the asker's number for the exchange.
 */
export type Envelope = MessageEnvelope | ControlEnvelope | AnswerEnvelope;

/** A message for an actor's mailbox. */
export type MessageEnvelope = TellEnvelope | AskEnvelope | StreamEnvelope;

/** What an asker adds to what it asked for, and a watch. */
export type ControlEnvelope =
  | { readonly type: "watch"; readonly to: string; readonly from: string; readonly id: number }
  | { readonly type: "cancel"; readonly to: string; readonly from: string; readonly id: number }
  | CreditEnvelope;

/** What an asker or watcher gets. */
export type AnswerEnvelope =
  | ReplyEnvelope
  | FailEnvelope
  | ItemEnvelope
  | EndEnvelope
  | DownEnvelope;

/** A message without an answer. */
export interface TellEnvelope {
  readonly type: "tell";
  readonly to: string;
  readonly from: string;
  readonly method: string;
  readonly message: unknown;
  readonly deadline: number;
}

/** A message with one answer. */
export interface AskEnvelope {
  readonly type: "ask";
  readonly to: string;
  readonly from: string;
  readonly id: number;
  readonly method: string;
  readonly message: unknown;
  readonly deadline: number;
  readonly trace?: string;
}

/** A message with a stream of answers. */
export interface StreamEnvelope {
  readonly type: "stream";
  readonly to: string;
  readonly from: string;
  readonly id: number;
  readonly method: string;
  readonly message: unknown;
  readonly deadline: number;
  readonly credits: number;
  readonly trace?: string;
}

/** Allows `granted` items of a stream in all. */
export interface CreditEnvelope {
  readonly type: "credit";
  readonly to: string;
  readonly from: string;
  readonly id: number;
  readonly granted: number;
}

/** The answer to an ask. */
export interface ReplyEnvelope {
  readonly type: "reply";
  readonly to: string;
  readonly from: string;
  readonly id: number;
  readonly message: unknown;
}

/** The end of an ask or a stream that failed. */
export interface FailEnvelope {
  readonly type: "fail";
  readonly to: string;
  readonly from: string;
  readonly id: number;
  readonly error: WireError;
}

/** One item of a stream. */
export interface ItemEnvelope {
  readonly type: "item";
  readonly to: string;
  readonly from: string;
  readonly id: number;
  readonly index: number;
  readonly message: unknown;
}

/** The end of a stream of `count` items. */
export interface EndEnvelope {
  readonly type: "end";
  readonly to: string;
  readonly from: string;
  readonly id: number;
  readonly count: number;
}

/** A watched actor terminated. */
export interface DownEnvelope {
  readonly type: "down";
  readonly to: string;
  readonly from: string;
  readonly id: number;
  readonly reason: TerminationReason;
}

/** One way out of this isolate. */
export interface Link {
  /** Sends, or throws `ActorError`. Buffers in `transfer` move instead of being copied, if it can. */
  send(envelope: Envelope, transfer?: readonly Movable[]): void;
  /** Gives up what waits for endpoints that are gone. */
  lost?(loss: Loss): void;
  close(): void | Promise<void>;
}

/** The endpoint (`node/lane`) of an address or endpoint. */
export function endpointOf(to: string): string {
  const afterNode = to.indexOf("/");
  const afterLane = to.indexOf("/", afterNode + 1);
  return afterLane < 0 ? to : to.slice(0, afterLane);
}

/** The fields that each type must have besides `to` and `from`, and their types. */
const fields: ReadonlyMap<string, readonly (readonly [name: string, type: string])[]> = new Map(
  Object.entries(
    {
      tell: { method: "string", deadline: "number" },
      ask: { id: "number", method: "string", deadline: "number" },
      stream: { id: "number", method: "string", deadline: "number", credits: "number" },
      watch: { id: "number" },
      cancel: { id: "number" },
      credit: { id: "number", granted: "number" },
      reply: { id: "number" },
      fail: { id: "number", error: "object" },
      item: { id: "number", index: "number" },
      end: { id: "number", count: "number" },
      down: { id: "number", reason: "object" },
    } satisfies Record<Envelope["type"], Record<string, string>>,
  ).map(([type, wanted]) => [type, Object.entries(wanted)]),
);

const addressPattern = /^[A-Za-z0-9:_-]{1,129}(?:\/[A-Za-z0-9_-]{1,96}){1,3}$/;
const endpointPattern = /^[A-Za-z0-9:_-]{1,129}\/[A-Za-z0-9_-]{1,96}$/;

/** W3C Trace Context, level 1: version, trace, parent, flags. */
const tracePattern = /^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/;

function isTrace(value: unknown): boolean {
  return typeof value === "string" && tracePattern.test(value);
}

/** The envelope that plain data from outside stands for; null when it is none. */
export function checkEnvelope(data: unknown): Envelope | null {
  if (typeof data !== "object" || data === null) return null;
  const record = data as Record<string, unknown>;
  const { type, to, from } = record;
  const wanted = typeof type === "string" ? fields.get(type) : undefined;
  if (!wanted) return null;
  if (typeof to !== "string" || !addressPattern.test(to)) return null;
  if (typeof from !== "string" || !endpointPattern.test(from)) return null;
  if (record.trace !== undefined && !isTrace(record.trace)) return null;
  const fits = wanted.every(([name, kind]) => {
    const value = record[name];
    return typeof value === kind && value !== null && !Number.isNaN(value);
  });
  return fits ? data as Envelope : null;
}
