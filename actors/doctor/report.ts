import type { Finding, Verdict } from "./finding.ts";

const marks: Readonly<Record<Verdict, string>> = {
  ok: "ok      ",
  warning: "warning ",
  problem: "PROBLEM ",
  skipped: "-       ",
};

/** Findings as text for people: a line each, its facts and advice below. */
export function formatFindings(findings: readonly Finding[]): string {
  const width = Math.max(...findings.map(({ part }) => part.length)) + 2;
  return findings.flatMap(({ part, verdict, summary, details, advice }) => [
    `${part.padEnd(width)}${marks[verdict]}${summary}`,
    ...details.map((line) => " ".repeat(width + 8) + line),
    ...(advice === undefined ? [] : [" ".repeat(width + 8) + `-> ${advice}`]),
  ]).join("\n");
}
