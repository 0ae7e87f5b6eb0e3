/** Writes tandem.schema.json anew: `deno run --allow-write actors/config/schema_main.ts`. */
import { generateJsonSchema } from "./schema.ts";

const target = new URL("./tandem.schema.json", import.meta.url);
Deno.writeTextFileSync(target, `${JSON.stringify(generateJsonSchema(), null, 2)}\n`);
