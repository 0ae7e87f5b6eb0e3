// Products of few rows. A workgroup multiplies SETS times ROWS rows of the weight by TOKENS rows of x. LANES of its
// threads share out the units of ROWS rows, DEPTH at a time, then add up. Every weight is read once for all
// TOKENS. Of neighbouring threads, eight are lanes of one set, so that the sets read the same parts of x.
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

#define LANES (THREADS / SETS)
#ifdef SUBGROUPS
// Subgroups have at least four threads: so many lanes add up without shared memory.
#define ABREAST 4
#else
#define ABREAST 1
#endif
#define PARTIALS (LANES / ABREAST)
var<workgroup> partial: array<f32, SETS * PARTIALS * SUMS>;

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let own_set = thread / 8u % SETS;
  let lane = thread / (8u * SETS) * 8u + thread % 8u;
  let first = (group.y * SETS + own_set) * RESULTS;
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
  for (var i = lane; i < SLOTS * UNITS; i += LANES) {
    let first_unit = i % UNITS;
    let slot = tile.start * SLOTS + i / UNITS;
    let expert = chosen[slot] - FIRST_EXPERT;
    if (expert >= EXPERTS) {
      continue;
    }
    let matrix = expert * MATRIX_ROWS;
    let mass = masses[slot];
#else
  for (var first_unit = lane; first_unit < UNITS; first_unit += LANES * DEPTH) {
    let matrix = tile.matrix;
#endif
    var units: array<Unit, DEPTH * ROWS>;
#for STEP 0 DEPTH
#for ROW 0 ROWS
    units[STEP * ROWS + ROW] = load_unit(matrix + weight_row(first, ROW), first_unit + STEP * LANES);
#endfor
#endfor
#for STEP 0 DEPTH
#for PART 0 PARTS
    {
      let index = part_index(first_unit + STEP * LANES, PART);
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
  let place = (own_set * PARTIALS + lane / ABREAST) * SUMS;
#for SUM 0 SUMS
  {
    var sum = sums[SUM];
#ifdef SUBGROUPS
    sum += subgroupShuffleXor(sum, 1u);
    sum += subgroupShuffleXor(sum, 2u);
#endif
    if (lane % ABREAST == 0u) {
      partial[place + SUM] = sum;
    }
  }
#endfor
  workgroupBarrier();
  for (var i = thread; i < SETS * RESULTS * TOKENS; i += THREADS) {
    let from_set = i / (RESULTS * TOKENS);
    let sum = i % (RESULTS * TOKENS);
    let token = sum % TOKENS;
    let result = (group.y * SETS + from_set) * RESULTS + sum / TOKENS;
    if (result >= N || token >= tile.count) {
      continue;
    }
    var value = total(from_set, sum);
#ifdef NORM
    let scale = inverseSqrt(total(from_set, ROWS * TOKENS + token) / f32(K) + EPS);
    value *= scale;
#endif
#ifdef SWIGLU
    var up = total(from_set, sum + RESULTS * TOKENS);
#ifdef NORM
    up *= scale;
#endif
    value = silu(value) * up;
#endif
    put(out_row(tile.start + token), result, value);
  }
}

fn total(from_set: u32, sum: u32) -> f32 {
  var result = 0.0;
  for (var i = from_set * PARTIALS; i < (from_set + 1u) * PARTIALS; i++) {
    result += partial[i * SUMS + sum];
  }
  return result;
}
