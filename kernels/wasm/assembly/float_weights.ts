/** Panels of float weights: at each k the elements of its rows. */
import { Stored, Weight } from "../opcodes";
import { scaleHalf, widenHalf } from "./half";
import { PANEL, panelBytes } from "./layout";
import { word } from "./vector";

@inline
function width(stored: i32): usize {
  return stored == Stored.F32 ? 4 : 2;
}

/** Packs the rows at `from` to `to`; f16 times `factor`. */
export function packFloatPanel(stored: i32, from: usize, to: usize, k: i32, factor: f32): void {
  const bytes = width(stored), column = <usize>PANEL * bytes;
  for (let r: usize = 0; r < <usize>PANEL; r++) {
    let at = to + r * bytes;
    for (const end = from + <usize>k * bytes; from < end; from += bytes) {
      if (stored == Stored.F32) store<u32>(at, load<u32>(from));
      else if (stored == Stored.BF16) store<u16>(at, load<u16>(from));
      else store<u16>(at, scaleHalf(<u32>load<u16>(from), factor));
      at += column;
    }
  }
}

/** Copies row `index` of a packed matrix to `out` as float32. */
export function unpackFloatRow(weight: usize, matrix: usize, index: i32, out: usize): void {
  const stored = word(weight, Weight.Stored), k = word(weight, Weight.K);
  const bytes = width(stored), unit = load<f32>(weight + Weight.Unit * 4);
  let at = matrix + <usize>(index / PANEL) * panelBytes(stored, k) + <usize>(index % PANEL) * bytes;
  for (const end = out + (<usize>k << 2); out < end; out += 4) {
    let value: f32;
    if (stored == Stored.F32) value = load<f32>(at);
    else if (stored == Stored.BF16) value = reinterpret<f32>(<u32>load<u16>(at) << 16);
    else value = widenHalf(<u32>load<u16>(at)) * unit;
    store<f32>(out, value);
    at += <usize>PANEL * bytes;
  }
}
