// How the threads of a workgroup that streams rows of a weight share them, and how they add up. The workgroup
// multiplies SETS times ROWS rows of the weight by TOKENS rows of x; LANES of its threads share out ROWS rows. Of
// neighbouring threads, eight are lanes of one set, so that the sets read the same parts of x.
//   SWIGLU    half of the ROWS are gate rows, half the up rows of the same results
//   NORM      rows of x are normed: scaled by a weight, and by the root of their mean square at the end
//   COMBINE   a row's results are sums over its slots, whose rows of x these are, each with its expert's weight
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

struct Thread {
  // The set that it belongs to, and its number in it.
  own_set: u32,
  lane: u32,
}

fn thread_at(index: u32) -> Thread {
  return Thread(index / 8u % SETS, index / (8u * SETS) * 8u + index % 8u);
}

// Adds up the sums of all threads: those of every row and token, then the squares of x, and stores the results of
// the workgroup, of which the first set's begin at `first`.
fn finish(sums: array<f32, SUMS>, thread: u32, first: u32, tile: Tile) {
  let at = thread_at(thread);
  let place = (at.own_set * PARTIALS + at.lane / ABREAST) * SUMS;
#for SUM 0 SUMS
  {
    var sum = sums[SUM];
#ifdef SUBGROUPS
    sum += subgroupShuffleXor(sum, 1u);
    sum += subgroupShuffleXor(sum, 2u);
#endif
    if (at.lane % ABREAST == 0u) {
      partial[place + SUM] = sum;
    }
  }
#endfor
  workgroupBarrier();
  for (var i = thread; i < SETS * RESULTS * TOKENS; i += THREADS) {
    let from_set = i / (RESULTS * TOKENS);
    let sum = i % (RESULTS * TOKENS);
    let token = sum % TOKENS;
    let result = first + from_set * RESULTS + sum / TOKENS;
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
