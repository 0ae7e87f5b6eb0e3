import { ActorError } from "./errors.ts";

/** Where an actor lives: `node/lane/kind/id`. */
export interface Address {
  /** `NAME`, or `ROLE:NAME` for nodes that are told apart by what they may do. */
  readonly node: string;
  /** `main`, or the name of a Worker thread of the node. */
  readonly lane: string;
  readonly kind: string;
  readonly id: string;
}

const namePattern = /^[A-Za-z0-9_-]{1,96}$/;
const nodePattern = /^(?:[A-Za-z][A-Za-z0-9-]{0,31}:)?[A-Za-z0-9_-]{1,96}$/;

/** Whether a text can be one part of an address: letters, digits, `_` and `-`, at most 96. */
export function isName(text: string): boolean {
  return namePattern.test(text);
}

/** Whether a text can be a node's name: a name, or a role and a name with a colon between. */
export function isNodeName(text: string): boolean {
  return nodePattern.test(text);
}

/** Answers the node's name, or throws `NoRoute` when it cannot be part of an address. */
export function checkNodeName(text: string): string {
  if (isNodeName(text)) return text;
  throw unusable("node", text);
}

/** What a node is there for, by its name: `worker` of `worker:a`; empty of a node without a role. */
export function roleOf(node: string): string {
  return node.slice(0, Math.max(0, node.indexOf(":")));
}

/** Answers the name, or throws `NoRoute` when it cannot be part of an address. */
export function checkName(what: string, text: string): string {
  if (isName(text)) return text;
  throw unusable(what, text);
}

function unusable(what: string, text: string): ActorError {
  return new ActorError("NoRoute", `Cannot use as ${what}: ${JSON.stringify(text).slice(0, 120)}`, {
    retryable: false,
  });
}

/** The text of an address. */
export function formatAddress(address: Address): string {
  return `${address.node}/${address.lane}/${address.kind}/${address.id}`;
}

/** The address of a text. Throws `NoRoute` when it is not one. */
export function parseAddress(text: string): Address {
  const parts = text.split("/");
  const [node, ...rest] = parts;
  const [lane, kind, id] = rest;
  if (parts.length !== 4 || !isNodeName(node!) || !rest.every(isName)) {
    throw new ActorError("NoRoute", `Cannot read address: ${JSON.stringify(text).slice(0, 120)}`, {
      retryable: false,
    });
  }
  return { node: node!, lane: lane!, kind: kind!, id: id! };
}
