import { z } from "zod";
import { isNodeName, parseAddress } from "../address.ts";
import { CodecError, decode, encode } from "../codec/mod.ts";

/** The protocols that a build speaks: it works together with every build whose range overlaps. */
export interface ProtocolRange {
  /** The oldest that it still speaks. */
  readonly least: number;
  /** The newest that it speaks. */
  readonly most: number;
}

/** An actor that a node offers to the cluster. */
export interface Offer {
  /** What it is found by, such as `router/zoo`; several actors may share it. */
  readonly name: string;
  /** Its address. */
  readonly address: string;
  /** How busy it is, in a unit that all offers of the name share; absent = unknown. */
  readonly load?: number;
  /** Epoch of the lease that it holds; absent = it needs none. */
  readonly epoch?: number;
  /** Anything else that its users must know. Plain data. */
  readonly facts?: unknown;
}

/** What a node says of itself in every heartbeat: all of it, so that nobody has to ask. */
export interface Announcement {
  /** The node's name. */
  readonly node: string;
  /** When its process started: a later process of the same name replaces an earlier one. */
  readonly incarnation: number;
  /** Grows within an incarnation whenever the node lost touch; what others did with it is void. */
  readonly life: number;
  /** Grows with each announcement of a life. */
  readonly beat: number;
  /** The build, for people. */
  readonly version: string;
  /** The protocols that it speaks. */
  readonly protocol: ProtocolRange;
  /** The nodes that it hears, with their lives as `lifeOf` writes them. */
  readonly hears: Readonly<Record<string, string>>;
  /** Set on the last announcement of a node that leaves on purpose. */
  readonly leaving?: boolean;
  /** The actors that it offers. */
  readonly offers: readonly Offer[];
  /** Anything else that others must know. Plain data. */
  readonly facts?: unknown;
}

/** The most bytes of an announcement. */
const maxBytes = 256 * 1024;

/** The most names of one kind in an announcement. */
const maxEntries = 4096;

const count = z.int().nonnegative();

const offer = z.object({
  name: z.string().min(1).max(200),
  address: z.string().refine(isAddress),
  load: z.number().exactOptional(),
  epoch: count.exactOptional(),
  facts: z.unknown().exactOptional(),
});

/** Fields that a newer build adds are let through and ignored. */
const schema = z.object({
  node: z.string().refine(isNodeName),
  incarnation: z.number().positive(),
  life: count,
  beat: count,
  version: z.string().max(64),
  protocol: z.object({ least: count, most: count }),
  hears: z.record(z.string().refine(isNodeName), z.string().max(64))
    .refine((hears) => Object.keys(hears).length <= maxEntries),
  leaving: z.boolean().exactOptional(),
  offers: z.array(offer).max(maxEntries),
  facts: z.unknown().exactOptional(),
});

/** The bytes of an announcement. Throws `CodecError` when it is not plain data or too large. */
export function encodeAnnouncement(announcement: Announcement): Uint8Array<ArrayBuffer> {
  return encode(announcement, { bytes: maxBytes });
}

/** The announcement of bytes from outside; null when they are none. */
export function decodeAnnouncement(bytes: Uint8Array): Announcement | null {
  try {
    const result = schema.safeParse(decode(bytes, { bytes: maxBytes }));
    return result.success ? result.data : null;
  } catch (thrown) {
    if (thrown instanceof CodecError) return null;
    throw thrown;
  }
}

/** A node's life as others refer to it. */
export function lifeOf({ incarnation, life }: Announcement): string {
  return `${incarnation}:${life}`;
}

/** Whether `a` is of an earlier life than `b`, or an earlier announcement of the same life. */
export function isEarlier(a: Announcement, b: Announcement): boolean {
  if (a.incarnation !== b.incarnation) return a.incarnation < b.incarnation;
  return a.life !== b.life ? a.life < b.life : a.beat < b.beat;
}

/** Whether two builds speak a common protocol. */
export function overlap(a: ProtocolRange, b: ProtocolRange): boolean {
  return a.least <= b.most && b.least <= a.most;
}

function isAddress(text: string): boolean {
  try {
    parseAddress(text);
    return true;
  } catch {
    return false;
  }
}
