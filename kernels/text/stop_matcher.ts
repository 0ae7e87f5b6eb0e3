import { TextError } from "./errors.ts";

/** What {@link StopMatcher.push} lets through. */
export interface StopResult {
  /** Text that can be sent on: it is no part of a stop string. */
  readonly text: string;
  /** The stop string that ended the text, else `null`. */
  readonly stopped: string | null;
}

/** Ends a stream of text at the first stop string, however it is cut into pieces. */
export interface StopMatcher {
  /**
   * Takes the next piece of text and returns what can be sent on; holds back the longest end that may begin
   * a stop string. After a stop it lets nothing through.
   */
  push(text: string): StopResult;
  /** What is held back, when the text ends without a stop. */
  flush(): string;
}

/**
 * Matches stop strings over piece boundaries. The stop that is complete first wins; of those complete at the
 * same character, the longest. Constant time per character and stop. Throws {@link TextError}
 * `InvalidArgument` for an empty stop string.
 */
export function createStopMatcher(stops: readonly string[]): StopMatcher {
  if (stops.includes("")) {
    throw new TextError("InvalidArgument", 'Cannot stop at an empty string: ""');
  }
  const cursors = stops.map(createCursor).sort((a, b) => b.stop.length - a.stop.length);
  let held = "";
  let stopped: string | null = null;
  return {
    push(text: string): StopResult {
      if (stopped !== null) return { text: "", stopped };
      const seen = held + text;
      for (let at = held.length; at < seen.length; at++) {
        for (const cursor of cursors) cursor.advance(seen.charCodeAt(at));
        const match = cursors.find(({ stop, matched }) => matched() === stop.length);
        if (match === undefined) continue;
        held = "";
        stopped = match.stop;
        return { text: seen.slice(0, at + 1 - match.stop.length), stopped };
      }
      const keep = cursors.reduce((longest, { matched }) => Math.max(longest, matched()), 0);
      held = seen.slice(seen.length - keep);
      return { text: seen.slice(0, seen.length - keep), stopped };
    },
    flush(): string {
      const rest = held;
      held = "";
      return rest;
    },
  };
}

/** How much of one stop string the text so far ends with. */
interface Cursor {
  readonly stop: string;
  readonly matched: () => number;
  readonly advance: (unit: number) => void;
}

/** A Knuth-Morris-Pratt matcher over UTF-16 code units. */
function createCursor(stop: string): Cursor {
  const borders = bordersOf(stop);
  let matched = 0;
  return {
    stop,
    matched: () => matched,
    advance: (unit) => {
      matched = extend(stop, borders, matched, unit);
    },
  };
}

function extend(stop: string, borders: Int32Array, matched: number, unit: number): number {
  let length = matched;
  while (length > 0 && stop.charCodeAt(length) !== unit) length = borders[length - 1] ?? 0;
  return stop.charCodeAt(length) === unit ? length + 1 : 0;
}

/** For every prefix of `stop`, the length of its longest proper suffix that is also its prefix. */
function bordersOf(stop: string): Int32Array {
  const borders = new Int32Array(stop.length);
  for (let end = 1; end < stop.length; end++) {
    borders[end] = extend(stop, borders, borders[end - 1] ?? 0, stop.charCodeAt(end));
  }
  return borders;
}
