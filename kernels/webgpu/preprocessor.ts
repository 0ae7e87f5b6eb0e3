/** WGSL with includes, constants and conditions, after the manner of C. */
import { KernelError } from "../errors.ts";
import type { Defines } from "./dispatch.ts";
import { evaluate } from "./expression.ts";

/** What a compiler accepts. */
export interface Dialect {
  /** Keeps `enable subgroups;`, which naga refuses and Dawn requires. */
  readonly enablesSubgroups: boolean;
}

/**
 * Expands a kernel. Directives: `#include "file.wgsl"` (once a file), `#define NAME value`, `#if`, `#ifdef`,
 * `#ifndef`, `#elif`, `#else`, `#endif`, and `#for NAME from to` with `#endfor`, which repeats lines for each
 * integer from `from` on below `to`. Names of constants are replaced wherever they stand as a whole word; one
 * that is `false` is not defined. `enable` lines move to the top. Throws `InvalidArgument`.
 */
export function preprocess(
  sources: ReadonlyMap<string, string>,
  kernel: string,
  defines: Defines,
  dialect: Dialect,
): string {
  const expansion = new Expansion(sources, defines);
  expansion.file(`${kernel}.wgsl`);
  const enables = [...expansion.enables].filter((line) =>
    dialect.enablesSubgroups || line !== "enable subgroups;"
  );
  return [...enables, ...expansion.lines].join("\n");
}

/** One open `#if`: whether its branch is live, and whether one of its branches was. */
interface Condition {
  live: boolean;
  taken: boolean;
}

const MAX_DEPTH = 16;

class Expansion {
  readonly lines: string[] = [];
  readonly enables = new Set<string>();
  readonly #sources: ReadonlyMap<string, string>;
  readonly #constants = new Map<string, string>();
  readonly #included = new Set<string>();
  /** The line at work, for messages. */
  #at = 0;

  constructor(sources: ReadonlyMap<string, string>, defines: Defines) {
    this.#sources = sources;
    for (const [name, value] of Object.entries(defines)) {
      if (value !== false) this.#constants.set(name, String(value));
    }
  }

  file(name: string): void {
    if (this.#included.has(name)) return;
    this.#included.add(name);
    const source = this.#sources.get(name);
    if (source === undefined) {
      throw new KernelError("InvalidArgument", `Cannot find a kernel's source: ${name}`);
    }
    try {
      this.#block(source.split("\n"), 1);
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
      throw new KernelError(
        "InvalidArgument",
        `Cannot expand ${name}:${this.#at}, ${error.message}`,
      );
    }
  }

  #block(lines: readonly string[], first: number): void {
    const open: Condition[] = [];
    for (let i = 0; i < lines.length; i++) {
      this.#at = first + i;
      const loop = /^\s*#\s*for\s+([A-Za-z_]\w*)\s+(\S+)\s+(.+)$/.exec(lines[i]!);
      if (!loop) {
        this.#line(lines[i]!, open);
        continue;
      }
      const end = endOfLoop(lines, i);
      if (isLive(open)) this.#loop(loop.slice(1), lines.slice(i + 1, end), first + i + 1);
      i = end;
    }
    if (open.length > 0) throw new SyntaxError("#if without #endif");
  }

  #loop([name, from, to]: readonly string[], body: readonly string[], first: number): void {
    const outer = this.#constants.get(name!);
    const end = this.#evaluate(to!);
    for (let i = this.#evaluate(from!); i < end; i++) {
      this.#constants.set(name!, String(i));
      this.#block(body, first);
    }
    if (outer === undefined) this.#constants.delete(name!);
    else this.#constants.set(name!, outer);
  }

  #line(line: string, open: Condition[]): void {
    const directive = /^\s*#\s*(\w+)\s*(.*?)\s*(?:\/\/.*)?$/.exec(line);
    if (directive) return this.#directive(directive[1]!, directive[2]!, open);
    if (!isLive(open)) return;
    const text = line.trim();
    if (/^enable\s+\w+;$/.test(text)) this.enables.add(text);
    else if (text !== "" && !text.startsWith("//")) this.lines.push(this.#expand(line));
  }

  #directive(name: string, rest: string, open: Condition[]): void {
    if (this.#condition(name, rest, open) || !isLive(open)) return;
    const include = name === "include" && /^"([\w./]+)"$/.exec(rest);
    const define = name === "define" && /^([A-Za-z_]\w*)\s*(.*)$/.exec(rest);
    if (include) this.file(include[1]!);
    else if (define) this.#constants.set(define[1]!, define[2]!);
    else throw new SyntaxError(`unknown directive: #${name} ${rest}`);
  }

  /** Handles the directives that count in dead branches, too. */
  #condition(name: string, rest: string, open: Condition[]): boolean {
    const isOuterLive = isLive(open.slice(0, -1));
    switch (name) {
      case "if":
      case "ifdef":
      case "ifndef": {
        const live = isLive(open) && this.#holds(name, rest);
        open.push({ live, taken: live });
        return true;
      }
      case "elif":
      case "else": {
        const last = innermost(name, open);
        last.live = isOuterLive && !last.taken && (name === "else" || this.#holds("if", rest));
        last.taken ||= last.live;
        return true;
      }
      case "endif":
        innermost(name, open);
        open.pop();
        return true;
    }
    return false;
  }

  #holds(name: string, rest: string): boolean {
    if (name === "ifdef") return this.#constants.has(rest);
    if (name === "ifndef") return !this.#constants.has(rest);
    return this.#evaluate(rest) !== 0;
  }

  #evaluate(expression: string): number {
    return evaluate(expression, (constant) => this.#constants.get(constant));
  }

  #expand(text: string, depth = 0): string {
    return text.replaceAll(/[A-Za-z_]\w*/g, (word) => {
      const value = this.#constants.get(word);
      if (value === undefined || value === word) return word;
      if (depth === MAX_DEPTH) throw new SyntaxError(`constants that contain each other: ${word}`);
      return this.#expand(value, depth + 1);
    });
  }
}

function isLive(open: readonly Condition[]): boolean {
  return open.every(({ live }) => live);
}

/** The line of the `#endfor` of the `#for` in line `start`. */
function endOfLoop(lines: readonly string[], start: number): number {
  let depth = 0;
  for (let i = start; i < lines.length; i++) {
    const directive = /^\s*#\s*(for|endfor)\b/.exec(lines[i]!)?.[1];
    if (directive === "for") depth++;
    if (directive === "endfor" && --depth === 0) return i;
  }
  throw new SyntaxError(`#for without #endfor: ${lines[start]!.trim()}`);
}

function innermost(name: string, open: readonly Condition[]): Condition {
  const last = open.at(-1);
  if (!last) throw new SyntaxError(`#${name} without #if`);
  return last;
}
