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

  /** All of them, for others to know. */
  get all(): FamilyFacts[] {
    return [...this.#families.values()];
  }

  /** Those that are served. */
  get served(): FamilyFacts[] {
    return servedFamilies(this.all);
  }
}
