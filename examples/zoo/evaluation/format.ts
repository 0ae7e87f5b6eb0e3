import type { Accuracy, Group, PairedDifference, SystemScore } from "./evaluate.ts";

/**
 * Lays scores out as text for a terminal, percentages with their 95 % intervals: one row for all
 * items, one a difficulty and one a task; one column a system.
 */
export function formatScores(scores: readonly SystemScore[]): string {
  const rows = [["", "items", ...scores.map((score) => score.system)]];
  rows.push(row("all", scores, (score) => score.overall));
  for (const key of ["byDifficulty", "byTask"] as const) {
    scores[0]?.[key].forEach((group, i) =>
      rows.push(row(nameOf(group), scores, (score) => score[key][i]!.accuracy))
    );
  }
  return [table(rows), ...scores.flatMap(remarks)].join("\n");
}

/** One line that says how two systems differ, in percentage points with the 95 % interval. */
export function formatDifference(paired: PairedDifference): string {
  const { first, second, counts, difference, low, high, probability } = paired;
  return `${first} − ${second}: ${signed(difference)} points, 95 % ${signed(low)} to ${
    signed(high)
  }` +
    ` (only ${first} right ${counts.onlyFirst}, only ${second} right ${counts.onlySecond},` +
    ` McNemar p ${probability.toPrecision(2)})`;
}

function row(
  name: string,
  scores: readonly SystemScore[],
  pick: (score: SystemScore) => Accuracy,
): string[] {
  const accuracies = scores.map(pick);
  return [name, String(accuracies[0]?.total ?? 0), ...accuracies.map(cell)];
}

function cell({ share, low, high }: Accuracy): string {
  return `${percent(share)} (${percent(low)}–${percent(high)})`;
}

function nameOf({ task, difficulty }: Group): string {
  return task ?? `difficulty ${difficulty}`;
}

function remarks({ system, meanTokens, answeredBy }: SystemScore): string[] {
  const levels = Object.entries(answeredBy).map(([level, share]) => `${level} ${percent(share)} %`);
  const parts = [
    ...meanTokens === null ? [] : [`${meanTokens.toFixed(2)} tokens an item`],
    ...levels.length < 2 ? [] : [`answered by ${levels.join(", ")}`],
  ];
  return parts.length === 0 ? [] : [`${system}: ${parts.join("; ")}`];
}

function table(rows: readonly string[][]): string {
  const widths = rows[0]!.map((_, i) => Math.max(...rows.map((row) => row[i]!.length)));
  return rows.map((row) =>
    row.map((text, i) => i === 0 ? text.padEnd(widths[i]!) : text.padStart(widths[i]!)).join("  ")
  ).join("\n");
}

function percent(share: number): string {
  return (100 * share).toFixed(1);
}

function signed(difference: number): string {
  const text = (100 * difference).toFixed(2);
  return difference > 0 ? `+${text}` : text.replace("-", "−");
}
