// Products of few rows. A workgroup multiplies ROWS rows of the weight by TOKENS rows of x; its threads share
// out the units of the rows, DEPTH at a time, then add up. Every weight is read once for all TOKENS.
//   SWIGLU    half of the ROWS are gate rows, half the up rows of the same results
//   NORM      rows of x are normed: scaled by a weight, and by the root of their mean square at the end
//   COMBINE   a row's results are sums over its slots, whose rows of x these are, each with its expert's weight
enable subgroups;
#define TILE TOKENS
#ifdef SWIGLU
#define RESULTS (ROWS / 2)
#else
#define RESULTS ROWS
#endif
#include "products.wgsl"

#ifdef COMBINE
@group(0) @binding(5) var<storage, read> masses: array<f32>;
#endif

#ifdef NORM
@group(0) @binding(NORM) var<storage, read> norm: array<vec4f>;
#define SUMS (ROWS * TOKENS + TOKENS)
#else
#define SUMS (ROWS * TOKENS)
#endif

#ifdef SUBGROUPS
// Subgroups have at least four threads.
#define PARTIALS (THREADS / 4)
#else
#define PARTIALS THREADS
#endif
var<workgroup> partial: array<f32, PARTIALS * SUMS>;

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(local_invocation_index) thread: u32,
#ifdef SUBGROUPS
  @builtin(subgroup_size) subgroup: u32,
  @builtin(subgroup_invocation_id) lane: u32,
#endif
) {
  let first = group.y * RESULTS;
  let tile = tile_at(group.x);
#ifdef EXPERTS
  if (tile.count == 0u) {
    return;
  }
#endif
  var x_rows: array<u32, TOKENS>;
#for TOKEN 0 TOKENS
  x_rows[TOKEN] = x_row(tile.start + min(TOKEN, tile.count - 1u));
#endfor
  var sums: array<f32, SUMS>;
#ifdef COMBINE
  // Units of all slots at once: one slot's may be fewer than there are threads.
  for (var i = thread; i < SLOTS * UNITS; i += THREADS) {
    let first_unit = i % UNITS;
    let slot = tile.start * SLOTS + i / UNITS;
    let expert = chosen[slot] - FIRST_EXPERT;
    if (expert >= EXPERTS) {
      continue;
    }
    let matrix = expert * MATRIX_ROWS;
    let mass = masses[slot];
#else
  for (var first_unit = thread; first_unit < UNITS; first_unit += THREADS * DEPTH) {
    let matrix = tile.matrix;
#endif
    var units: array<Unit, DEPTH * ROWS>;
#for STEP 0 DEPTH
#for ROW 0 ROWS
    units[STEP * ROWS + ROW] = load_unit(matrix + weight_row(first, ROW), first_unit + STEP * THREADS);
#endfor
#endfor
#for STEP 0 DEPTH
#for PART 0 PARTS
    {
      let index = part_index(first_unit + STEP * THREADS, PART);
#ifdef NORM
      let scale = norm[index];
#endif
      var decoded: array<vec4f, ROWS>;
#for ROW 0 ROWS
      decoded[ROW] = decode(units[STEP * ROWS + ROW], PART);
#endfor
#for TOKEN 0 TOKENS
      {
#if defined(COMBINE)
        let value = mass * x4(slot, index);
#elif defined(NORM)
        let raw = x4(x_rows[TOKEN], index);
        let value = raw * scale;
        sums[ROWS * TOKENS + TOKEN] = dot4(raw, raw, sums[ROWS * TOKENS + TOKEN]);
#else
        let value = x4(x_rows[TOKEN], index);
#endif
#for ROW 0 ROWS
        sums[ROW * TOKENS + TOKEN] = dot4(decoded[ROW], value, sums[ROW * TOKENS + TOKEN]);
#endfor
      }
#endfor
    }
#endfor
#endfor
  }
#ifdef SUBGROUPS
  let partials = THREADS / subgroup;
  let place = thread / subgroup * SUMS;
#for SUM 0 SUMS
  {
    let sum = subgroupAdd(sums[SUM]);
    if (lane == 0u) {
      partial[place + SUM] = sum;
    }
  }
#endfor
#else
  let partials = u32(THREADS);
#for SUM 0 SUMS
  partial[thread * SUMS + SUM] = sums[SUM];
#endfor
#endif
  workgroupBarrier();
  for (var i = thread; i < RESULTS * TOKENS; i += THREADS) {
    let result = first + i / TOKENS;
    let token = i % TOKENS;
    if (result >= N || token >= tile.count) {
      continue;
    }
    var value = total(i, partials);
#ifdef NORM
    let scale = inverseSqrt(total(ROWS * TOKENS + token, partials) / f32(K) + EPS);
    value *= scale;
#endif
#ifdef SWIGLU
    var up = total(i + RESULTS * TOKENS, partials);
#ifdef NORM
    up *= scale;
#endif
    value = silu(value) * up;
#endif
    put(out_row(tile.start + token), result, value);
  }
}

fn total(sum: u32, partials: u32) -> f32 {
  var result = 0.0;
  for (var i = 0u; i < partials; i++) {
    result += partial[i * SUMS + sum];
  }
  return result;
}
