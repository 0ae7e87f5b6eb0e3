import { cacheTiles, floatTiles } from "./float_tiles.ts";
import { quantTiles } from "./quant_tiles.ts";

/** The source of assembly/tiles.ts, which exists only while compiling. */
export function tileSource(): string {
  return `import { Stored } from "../opcodes";
  import { HALF_MASK, madd, NIBBLE_MASK, PAIR_MASK } from "./vector";
  ${floatTiles()}
  ${cacheTiles()}
  ${quantTiles()}`;
}
