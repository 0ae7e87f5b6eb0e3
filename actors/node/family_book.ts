import type { FamilyFacts } from "../node_protocol.ts";
import { isLater, servedFamilies } from "../planner/mod.ts";

/** Names that are remembered at most. */
const MAX_FAMILIES = 256;

/** The families that a node knows of: those that it brought, and those that others told it of. */
export class FamilyBook {
  readonly #families = new Map<string, FamilyFacts>();

  /** Takes over what is news, and answers whether anything was. */
  learn(families: readonly FamilyFacts[]): boolean {
    let isNews = false;
    for (const family of families) {
      const known = this.#families.get(family.name);
      if (known ? !isLater(family, known) : this.#families.size >= MAX_FAMILIES) continue;
      this.#families.set(family.name, family);
      isNews = true;
    }
    return isNews;
  }

  /** Notes at `now`, in milliseconds since the epoch, that a family is served no more. False when there is none. */
  remove(name: string, now: number): boolean {
    const family = this.#families.get(name);
    if (!family || family.removed) return false;
    const since = Math.max(now, family.since + 1);
    this.#families.set(name, { ...family, since, removed: true });
    return true;
  }

  /** All of them, for others to know; also those that were removed. */
  get all(): FamilyFacts[] {
    return [...this.#families.values()];
  }

  /** Those that are served. */
  get served(): FamilyFacts[] {
    return servedFamilies(this.all);
  }
}
