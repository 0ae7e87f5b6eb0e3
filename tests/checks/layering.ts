/** Fails when an import of the project points up, sideways, past a door, or in a circle. */
import { readImports } from "./imports.ts";
import { checkedFolders, violations } from "./rules.ts";

const root = new URL("../..", import.meta.url).pathname;
const found = violations(readImports(root, checkedFolders));
for (const line of found) console.error(line);
if (found.length > 0) Deno.exit(1);
