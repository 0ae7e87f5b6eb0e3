/**
 * Keys as a NATS key-value bucket takes them: one token a segment, so that permissions can name them.
 * Characters that a token may not have become `=` and their UTF-8 bytes in hexadecimal.
 */
export function encodeKey(key: string): string {
  return key.split("/").map(encodeSegment).join(".");
}

/** The key of what `encodeKey()` made. */
export function decodeKey(encoded: string): string {
  return encoded.split(".").map(decodeSegment).join("/");
}

function encodeSegment(segment: string): string {
  if (segment === "") return "==";
  return segment.replace(/[^A-Za-z0-9_-]/gu, (character) =>
    [...new TextEncoder().encode(character)]
      .map((byte) => `=${byte.toString(16).padStart(2, "0")}`).join(""));
}

function decodeSegment(segment: string): string {
  if (segment === "==") return "";
  return decodeURIComponent(segment.replaceAll("=", "%"));
}
