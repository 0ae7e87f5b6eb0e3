/**
 * The subjects of messages between actors: `tandem.TO.FROM.LANE`, then `.KIND.ID`. What a subject
 * says of sender and receiver must hold for what is published under it. A node is two tokens, its
 * role and its name; one without a role has `_` in its place.
 */
export const messagePrefix = "tandem.";

/** The subject of what one node sends to an address or endpoint (`node/lane/...`) of another. */
export function subjectOf(from: string, to: string): string {
  const slash = to.indexOf("/");
  const [receiver, rest] = [nodeTokens(to.slice(0, slash)), to.slice(slash).replaceAll("/", ".")];
  return `${messagePrefix}${receiver}.${nodeTokens(from)}${rest}`;
}

/** Everything that is sent to a node. */
export function inboundOf(node: string): string {
  return `${messagePrefix}${nodeTokens(node)}.>`;
}

/** The node that a subject names as its sender. */
export function senderOf(subject: string): string {
  const [_prefix, _role, _name, role, name] = subject.split(".", 5);
  return nodeOf(role, name);
}

/** The address or endpoint that a subject names as its receiver; null if it is none of messages. */
export function addressOf(subject: string): string | null {
  if (!subject.startsWith(messagePrefix)) return null;
  const [role, name, _fromRole, _fromName, ...rest] = subject.slice(messagePrefix.length)
    .split(".");
  return [nodeOf(role, name), ...rest].join("/");
}

/** A node's name as two tokens of a subject. */
export function nodeTokens(node: string): string {
  return node.includes(":") ? node.replace(":", ".") : `_.${node}`;
}

function nodeOf(role: string | undefined, name: string | undefined): string {
  return role === "_" ? `${name}` : `${role}:${name}`;
}
