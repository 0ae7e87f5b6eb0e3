import { type ApiKey, type KeyEntry, sha256Of } from "./ring.ts";

/** A key that was made: the secret, which is kept nowhere, and what a file of keys says of it. */
export interface NewKey {
  /** Goes to who may call. */
  readonly key: string;
  /** Goes into the file. */
  readonly entry: KeyEntry;
}

/** Bytes of randomness in a key: as many bits as its hash has. */
const keyBytes = 32;

/** Makes a key. `fill` fills bytes with randomness for secrets, such as `crypto.getRandomValues`. */
export function makeKey(of: ApiKey, fill: (bytes: Uint8Array) => unknown): NewKey {
  const bytes = new Uint8Array(keyBytes);
  fill(bytes);
  const key = `td-${bytes.toBase64({ alphabet: "base64url", omitPadding: true })}`;
  return { key, entry: { ...of, sha256: sha256Of(key) } };
}
