/** Randomness as it is passed in. */
export interface Rng {
  /** A number in [0, 1). */
  next(): number;
  /** An integer in [0, limit). */
  integer(limit: number): number;
  /** An independent generator: the same label of the same generator gives the same stream. */
  split(label: string): Rng;
}

/** A generator that repeats itself for the same seed (sfc32). Not for secrets. */
export function seededRng(seed: number | string): Rng {
  const key = String(seed);
  const next = sfc32(hash(key, 1), hash(key, 2), hash(key, 3));
  return {
    next,
    integer: (limit) => Math.floor(next() * limit),
    split: (label) => seededRng(`${key}/${label}`),
  };
}

/** A generator over the machine's cryptographic source. */
export function systemRng(): Rng {
  const pool = new Uint32Array(256);
  let used = pool.length;
  const word = () => {
    if (used >= pool.length) {
      crypto.getRandomValues(pool);
      used = 0;
    }
    return pool[used++]!;
  };
  const next = () => (word() >>> 5) / 2 ** 27;
  const rng: Rng = { next, integer: (limit) => Math.floor(next() * limit), split: () => rng };
  return rng;
}

function sfc32(a: number, b: number, c: number): () => number {
  let counter = 1;
  const next = () => {
    const sum = (a + b + counter++) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (((c << 21) | (c >>> 11)) + sum) | 0;
    return (sum >>> 0) / 2 ** 32;
  };
  for (let warm = 0; warm < 12; warm++) next();
  return next;
}

function hash(text: string, salt: number): number {
  let state = 0x811c9dc5 ^ Math.imul(salt, 0x9e3779b1);
  for (let i = 0; i < text.length; i++) {
    state = Math.imul(state ^ text.charCodeAt(i), 0x01000193);
    state ^= state >>> 15;
  }
  return state | 0;
}
