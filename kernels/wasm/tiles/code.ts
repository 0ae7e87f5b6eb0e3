/** Small helpers of the generators of AssemblyScript. */

/** The numbers from 0 to `count - 1`. */
export function range(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i);
}

/** Lines of code for each number below `count`. */
export function each(count: number, line: (i: number) => string): string {
  return range(count).map(line).join("\n");
}

/** Both vectors of 4 rows that engines with wider registers may join into one of 8. */
export function pair(line: (half: number) => string): string {
  return `${line(0)}\n${line(1)}`;
}

/** How many times 8 rows a tile takes: with few tokens both strips of a panel, else one. */
export function octets(tokens: number): number {
  return tokens <= 2 ? 4 : 2;
}

/** Bytes from one word of a token to its next one: a single token is dense. */
export function stride(tokens: number): number {
  return tokens === 1 ? 4 : 32;
}
