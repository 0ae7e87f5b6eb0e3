import assert from "node:assert/strict";
import fc from "fast-check";
import { createStopMatcher } from "../../../kernels/text/mod.ts";

const letters = fc.string({ unit: fc.constantFrom("a", "b", "c"), maxLength: 40 });
const stopStrings = fc.array(
  fc.string({ unit: fc.constantFrom("a", "b", "c"), minLength: 1, maxLength: 6 }),
  { maxLength: 4 },
);

/** The text before the first stop: that which is complete earliest, and of those the longest. */
function naive(text: string, stops: string[]): { text: string; stopped: string | null } {
  for (let end = 1; end <= text.length; end++) {
    const ended = stops.filter((stop) => text.slice(0, end).endsWith(stop));
    const longest = ended.sort((a, b) => b.length - a.length)[0];
    if (longest !== undefined) {
      return { text: text.slice(0, end - longest.length), stopped: longest };
    }
  }
  return { text, stopped: null };
}

/** The longest end of `text` that begins a stop string. */
function held(text: string, stops: string[]): string {
  for (let start = 0; start < text.length; start++) {
    if (stops.some((stop) => stop.startsWith(text.slice(start)))) return text.slice(start);
  }
  return "";
}

function cut(text: string, cuts: number[]): string[] {
  const ends = [...cuts.map((at) => at % (text.length + 1)), text.length].sort((a, b) => a - b);
  return ends.map((end, index) => text.slice(ends[index - 1] ?? 0, end));
}

Deno.test("createStopMatcher() agrees with a search of the whole text, however it is cut", () => {
  fc.assert(
    fc.property(letters, stopStrings, fc.array(fc.nat(40)), (text, stops, cuts) => {
      const matcher = createStopMatcher(stops);
      let sent = "";
      let stopped: string | null = null;
      let seen = "";
      for (const piece of cut(text, cuts)) {
        const result = matcher.push(piece);
        seen += piece;
        sent += result.text;
        stopped = result.stopped;
        if (stopped === null) assert.equal(seen.slice(sent.length), held(seen, stops));
      }
      assert.deepEqual({ text: sent + matcher.flush(), stopped }, naive(text, stops));
    }),
    { seed: 7, numRuns: 2000 },
  );
});

Deno.test("push() finds a stop over piece boundaries", () => {
  const matcher = createStopMatcher(["\n\nUser:"]);
  assert.deepEqual(matcher.push("Hello\n"), { text: "Hello", stopped: null });
  assert.deepEqual(matcher.push("\nUs"), { text: "", stopped: null });
  assert.deepEqual(matcher.push("er: next"), { text: "", stopped: "\n\nUser:" });
  assert.deepEqual(matcher.push("more"), { text: "", stopped: "\n\nUser:" });
  assert.equal(matcher.flush(), "");
});

Deno.test("push() lets go of what turned out to be no stop", () => {
  const matcher = createStopMatcher(["ENDING"]);
  assert.deepEqual(matcher.push("the END"), { text: "the ", stopped: null });
  assert.deepEqual(matcher.push("LESS"), { text: "ENDLESS", stopped: null });
  assert.deepEqual(matcher.push(" E"), { text: " ", stopped: null });
  assert.equal(matcher.flush(), "E");
});

Deno.test("push() passes everything without stops", () => {
  assert.deepEqual(createStopMatcher([]).push("text"), { text: "text", stopped: null });
});

Deno.test("createStopMatcher() refuses an empty stop string", () => {
  assert.throws(() => createStopMatcher(["a", ""]), { code: "InvalidArgument" });
});
