/**
 * The subjects of messages between actors: `tandem.TO.FROM.LANE`, then `.KIND.ID`. What a subject
 * says of sender and receiver must hold for what is published under it.
 */
export const messagePrefix = "tandem.";

/** The subject of what one node sends to an address or endpoint (`node/lane/...`) of another. */
export function subjectOf(from: string, to: string): string {
  const slash = to.indexOf("/");
  return `${messagePrefix}${to.slice(0, slash)}.${from}${to.slice(slash).replaceAll("/", ".")}`;
}

/** Everything that is sent to a node. */
export function inboundOf(node: string): string {
  return `${messagePrefix}${node}.>`;
}

/** The node that a subject names as its sender. */
export function senderOf(subject: string): string | undefined {
  return subject.split(".", 3)[2];
}

/** The address or endpoint that a subject names as its receiver; null if it is none of messages. */
export function addressOf(subject: string): string | null {
  if (!subject.startsWith(messagePrefix)) return null;
  const [to, _from, ...rest] = subject.slice(messagePrefix.length).split(".");
  return [to, ...rest].join("/");
}
