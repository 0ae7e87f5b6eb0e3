// Products of few rows, as gemv_sums.wgsl shares them out, of weights that are blocks of small integers: in integers.
// A workgroup turns CHUNK units of its rows of x into integers at a time, which all its sets multiply by their weights.
// An integer has 16 bits, as a high and a low signed byte, since there are dot products of four bytes; 16 elements,
// a *unit of x*, have a scale. A weight's unit meets X_UNITS of them.
enable subgroups;
#include "gemv_sums.wgsl"

#ifdef COMBINE
#define ALL_UNITS (SLOTS * UNITS)
#else
#define ALL_UNITS UNITS
#endif
#define HELD (CHUNK * X_UNITS)
// 127 * 256 + 127, the most that a high and a low byte hold.
const MOST = 32639.0;
// Added to a float, it leaves the nearest integer in the low bits, plus 128, whose lowest byte is then the low one
// biased by 128, and the next the high one.
const ROUNDING = 12583040.0;

var<workgroup> x_high: array<vec4u, HELD * TOKENS>;
var<workgroup> x_low: array<vec4u, HELD * TOKENS>;
var<workgroup> x_scales: array<f32, HELD * TOKENS>;
#ifdef MINIMA
var<workgroup> x_sums: array<f32, HELD * TOKENS>;
#endif
#ifdef NORM
var<workgroup> x_squares: array<f32, HELD * TOKENS>;
#endif

fn pack(place: u32, row: u32, unit: u32) {
  var values: array<vec4f, 4>;
#for PART 0 4
  values[PART] = x4(row, 4u * unit + PART);
#endfor
#ifdef NORM
  x_squares[place] = dot4(values[0], values[0], dot4(values[1], values[1],
    dot4(values[2], values[2], dot4(values[3], values[3], 0.0))));
#for PART 0 4
  values[PART] *= norm[4u * unit + PART];
#endfor
#endif
#ifdef MINIMA
  x_sums[place] = dot(values[0] + values[1] + values[2] + values[3], vec4f(1.0));
#endif
  let four = max(max(abs(values[0]), abs(values[1])), max(abs(values[2]), abs(values[3])));
  let most = max(max(four.x, four.y), max(four.z, four.w));
  let factor = select(0.0, MOST / most, most > 1e-34);
  var high: vec4u;
  var low: vec4u;
#for PART 0 4
  {
    let bits = bitcast<vec4u>(fma(values[PART], vec4f(factor), vec4f(ROUNDING)));
    let pairs = (bits.xy & vec2u(0xffffu)) | (bits.zw << vec2u(16u));
    high[PART] = ((pairs.x >> 8u) & 0x00ff00ffu) | (pairs.y & 0xff00ff00u);
    low[PART] = ((pairs.x & 0x00ff00ffu) | ((pairs.y & 0x00ff00ffu) << 8u)) ^ 0x80808080u;
  }
#endfor
  x_high[place] = high;
  x_low[place] = low;
  x_scales[place] = most / MOST;
}

fn dot16(a: vec4u, b: vec4u) -> i32 {
  return dot4I8Packed(a.x, b.x) + dot4I8Packed(a.y, b.y) + dot4I8Packed(a.z, b.z) + dot4I8Packed(a.w, b.w);
}

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let at = thread_at(thread);
  let first = (group.y * SETS + at.own_set) * RESULTS;
  let tile = tile_at(group.x);
#ifdef EXPERTS
  if (tile.count == 0u) {
    return;
  }
#endif
  var sums: array<f32, SUMS>;
  for (var chunk = 0u; chunk < ALL_UNITS; chunk += CHUNK) {
#if ALL_UNITS > CHUNK
    workgroupBarrier();
#endif
    for (var i = thread; i < HELD * TOKENS; i += THREADS) {
      let unit = chunk * X_UNITS + i % HELD;
#ifdef COMBINE
      pack(i, tile.start * SLOTS + unit / (UNITS * X_UNITS), unit % (UNITS * X_UNITS));
#else
      pack(i, x_row(tile.start + min(i / HELD, tile.count - 1u)), unit);
#endif
    }
    workgroupBarrier();
    for (var i = at.lane; i < min(CHUNK, ALL_UNITS - chunk); i += LANES) {
#ifdef COMBINE
      let unit = (chunk + i) % UNITS;
      let slot = tile.start * SLOTS + (chunk + i) / UNITS;
      let expert = chosen[slot] - FIRST_EXPERT;
      if (expert >= EXPERTS) {
        continue;
      }
      let matrix = expert * MATRIX_ROWS;
      let mass = masses[slot];
#else
      let unit = chunk + i;
      let matrix = tile.matrix;
#endif
      var units: array<Unit, ROWS>;
#for ROW 0 ROWS
      units[ROW] = load_unit(matrix + weight_row(first, ROW), unit);
#endfor
#for HALF 0 X_UNITS
      {
        var weights_here: array<vec4u, ROWS>;
#for ROW 0 ROWS
        weights_here[ROW] = integers(units[ROW], HALF);
#endfor
#for TOKEN 0 TOKENS
        {
          let place = TOKEN * HELD + x_unit(i, HALF);
          let high = x_high[place];
          let low = x_low[place];
#ifdef COMBINE
          let scale = mass * x_scales[place];
#else
          let scale = x_scales[place];
#endif
#ifdef NORM
          sums[ROWS * TOKENS + TOKEN] += x_squares[place];
#endif
#for ROW 0 ROWS
          {
            let product = 256 * dot16(weights_here[ROW], high) + dot16(weights_here[ROW], low);
            // In this order no factor is too small for a float that is not.
            sums[ROW * TOKENS + TOKEN] =
              fma(f32(product) * scale, integer_scale(units[ROW], HALF), sums[ROW * TOKENS + TOKEN]);
#ifdef MINIMA
#ifdef COMBINE
            sums[ROW * TOKENS + TOKEN] -= mass * x_sums[place] * integer_minimum(units[ROW], HALF);
#else
            sums[ROW * TOKENS + TOKEN] -= x_sums[place] * integer_minimum(units[ROW], HALF);
#endif
#endif
          }
#endfor
        }
#endfor
      }
#endfor
    }
  }
  finish(sums, thread, group.y * SETS * RESULTS, tile);
}
