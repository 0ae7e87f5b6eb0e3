/** Integer expressions of `#if`. */

const token = /\s*(\d+|[A-Za-z_]\w*|\|\||&&|[=!<>]=|[-+*/%!<>()])/y;
const binary: readonly Readonly<Record<string, (a: number, b: number) => number>>[] = [
  { "||": (a, b) => Number(a !== 0 || b !== 0) },
  { "&&": (a, b) => Number(a !== 0 && b !== 0) },
  { "==": (a, b) => Number(a === b), "!=": (a, b) => Number(a !== b) },
  {
    "<": (a, b) => Number(a < b),
    "<=": (a, b) => Number(a <= b),
    ">": (a, b) => Number(a > b),
    ">=": (a, b) => Number(a >= b),
  },
  { "+": (a, b) => a + b, "-": (a, b) => a - b },
  { "*": (a, b) => a * b, "/": (a, b) => Math.trunc(a / b), "%": (a, b) => a % b },
];

/** The value of an expression; names that `lookUp` does not know are 0. Throws `SyntaxError`. */
export function evaluate(source: string, lookUp: (name: string) => string | undefined): number {
  const tokens = tokenise(source);
  let at = 0;
  const level = (depth: number): number => {
    if (depth === binary.length) return unary();
    let value = level(depth + 1);
    for (let act = binary[depth]![tokens[at] ?? ""]; act; act = binary[depth]![tokens[at] ?? ""]) {
      at++;
      value = act(value, level(depth + 1));
    }
    return value;
  };
  const unary = (): number => {
    const next = tokens[at++];
    if (next === undefined) throw new SyntaxError(`unexpected end of: ${source}`);
    if (next === "!") return Number(unary() === 0);
    if (next === "-") return -unary();
    if (next === "(") {
      const value = level(0);
      if (tokens[at++] !== ")") throw new SyntaxError(`missing ) in: ${source}`);
      return value;
    }
    if (next === "defined") return Number(lookUp(operand()) !== undefined);
    if (/^\d/.test(next)) return Number(next);
    if (/^\w/.test(next)) return constant(next, lookUp);
    throw new SyntaxError(`unexpected ${next} in: ${source}`);
  };
  const operand = (): string => {
    const isGrouped = tokens[at] === "(";
    const name = tokens[at + Number(isGrouped)] ?? "";
    at += isGrouped ? 3 : 1;
    if (/^[A-Za-z_]/.test(name) && (!isGrouped || tokens[at - 1] === ")")) return name;
    throw new SyntaxError(`defined without a name in: ${source}`);
  };
  const value = level(0);
  if (at < tokens.length) throw new SyntaxError(`unexpected ${tokens[at]} in: ${source}`);
  return value;
}

function constant(name: string, lookUp: (name: string) => string | undefined): number {
  const text = lookUp(name);
  if (text === undefined || text === "false") return 0;
  if (text === "true" || text === "") return 1;
  const number = /^\d+(?=u?$)/.exec(text);
  return number
    ? Number(number[0])
    : evaluate(text, (inner) => inner === name ? undefined : lookUp(inner));
}

function tokenise(source: string): string[] {
  const text = source.trimEnd();
  const tokens: string[] = [];
  token.lastIndex = 0;
  while (token.lastIndex < text.length) {
    const from = token.lastIndex;
    const found = token.exec(text);
    if (!found) throw new SyntaxError(`unexpected ${text.slice(from).trim()[0]} in: ${source}`);
    tokens.push(found[1]!);
  }
  return tokens;
}
