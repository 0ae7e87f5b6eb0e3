import { ActorError } from "./errors.ts";

/** Where an actor lives: `node/lane/kind/id`. */
export interface Address {
  readonly node: string;
  /** `main`, or the name of a Worker thread of the node. */
  readonly lane: string;
  readonly kind: string;
  readonly id: string;
}

const namePattern = /^[A-Za-z0-9_-]{1,96}$/;

/** Whether a text can be one part of an address: letters, digits, `_` and `-`, at most 96. */
export function isName(text: string): boolean {
  return namePattern.test(text);
}

/** Answers the name, or throws `NoRoute` when it cannot be part of an address. */
export function checkName(what: string, text: string): string {
  if (!isName(text)) {
    throw new ActorError(
      "NoRoute",
      `Cannot use as ${what}: ${JSON.stringify(text).slice(0, 120)}`,
      {
        retryable: false,
      },
    );
  }
  return text;
}

/** The text of an address. */
export function formatAddress(address: Address): string {
  return `${address.node}/${address.lane}/${address.kind}/${address.id}`;
}

/** The address of a text. Throws `NoRoute` when it is not one. */
export function parseAddress(text: string): Address {
  const parts = text.split("/");
  const [node, lane, kind, id] = parts;
  if (parts.length !== 4 || !parts.every(isName)) {
    throw new ActorError("NoRoute", `Cannot read address: ${JSON.stringify(text).slice(0, 120)}`, {
      retryable: false,
    });
  }
  return { node: node!, lane: lane!, kind: kind!, id: id! };
}
