import type { Random } from "../random.ts";
import { type Difficulty, type Reading, reading, type Task } from "../task.ts";

const months = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(" ");
const monthDays = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
const ranges = [[1, 30], [2, 31], [32, 99], [100, 365]] as const;

/**
 * `Aug 4+19d`: the day so many days later, in years of 365 days. Difficulty 1 stays in the month,
 * then 2 to 31, 32 to 99 and 100 to 365 days.
 */
export const date: Task = {
  name: "date",
  weight: 10,
  draw(difficulty: Difficulty, random: Random): string {
    const month = random.integer(0, 11);
    const last = monthDays[month]!;
    const day = random.integer(1, difficulty === 1 ? last - 1 : last);
    const [least, most] = difficulty === 1 ? [1, last - day] : ranges[difficulty - 1]!;
    return `${months[month]} ${day}+${random.integer(least, most)}d`;
  },
  read(question: string): Reading | null {
    const found = /^([A-Z][a-z]{2}) (\d{1,2})\+(\d{1,3})d$/.exec(question);
    if (found === null) return null;
    const month = months.indexOf(found[1]!);
    const [day, days] = [Number(found[2]), Number(found[3])];
    if (month < 0 || day < 1 || day > monthDays[month]! || days < 1 || days > 365) return null;
    return reading(dayAfter(month, day, days), difficultyOf(month, day, days));
  },
};

function dayAfter(month: number, day: number, days: number): string {
  let [at, left] = [month, day + days];
  while (left > monthDays[at]!) {
    left -= monthDays[at]!;
    at = (at + 1) % 12;
  }
  return `${months[at]} ${left}`;
}

/** Steps inside a month are of both first difficulties; the easier one names them. */
function difficultyOf(month: number, day: number, days: number): number {
  if (day + days <= monthDays[month]!) return 1;
  return 2 + ranges.slice(1).findIndex(([, most]) => days <= most);
}
