// Products of many rows. A workgroup computes a tile of DOWN * TOKENS rows of x by ACROSS * ROWS rows of the
// weight, TOKENS by ROWS of them a thread; strips of both, STRIP vectors of four long, lie in shared memory, the
// weight's decoded. The next strip is read while this one is multiplied.
// SLICES of the threads each take every SLICES-th strip, and add up at the end: where tiles alone are too few.
//   SWIGLU    the first half of a tile's weight rows are gate rows, the second the up rows of the same results
#define THREADS (ACROSS * DOWN)
#define TILE_ROWS (ACROSS * ROWS)
#define TILE (DOWN * TOKENS)
#ifdef SWIGLU
#define RESULTS (TILE_ROWS / 2)
#else
#define RESULTS TILE_ROWS
#endif
#include "products.wgsl"

#define VECTORS (PADDED / 4)
#define ROUNDS ((VECTORS + STRIP * SLICES - 1) / (STRIP * SLICES))
#define LINES (THREADS / STRIP)
#define X_FILLS (TILE / LINES)
#define WEIGHT_FILLS (TILE_ROWS / LINES)

// The rows of one thread side by side, so that it reads them at fixed distances, and a vector more, so that
// neighbouring threads read from different banks.
var<workgroup> x_blocks: array<array<vec4f, TOKENS * STRIP + 1>, SLICES * DOWN>;
var<workgroup> weight_blocks: array<array<vec4f, ROWS * STRIP + 1>, SLICES * ACROSS>;
#if SLICES > 1
// Sums of one slice; a row more than they are, as above.
var<workgroup> slice_sums: array<array<f32, TOKENS * ROWS + 1>, THREADS>;
#endif

struct Strip {
  x: array<vec4f, X_FILLS>,
  weight: array<vec4f, WEIGHT_FILLS>,
}

fn read_strip(
  index: u32,
  x_rows: array<u32, X_FILLS>,
  weight_rows: array<u32, WEIGHT_FILLS>,
) -> Strip {
  var strip: Strip;
#if VECTORS % (STRIP * SLICES) == 0
  let inside = index;
#else
  let inside = min(index, VECTORS - 1u);
#endif
#for FILL 0 X_FILLS
#if VECTORS % (STRIP * SLICES) == 0
  strip.x[FILL] = x4(x_rows[FILL], inside);
#else
  strip.x[FILL] = select(vec4f(), x4(x_rows[FILL], inside), index < VECTORS);
#endif
#endfor
#for FILL 0 WEIGHT_FILLS
  strip.weight[FILL] = weight4(weight_rows[FILL], inside);
#endfor
  return strip;
}

@compute @workgroup_size(THREADS * SLICES)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(local_invocation_index) invocation: u32,
) {
  let thread = invocation % THREADS;
  let slice = invocation / THREADS;
  let first = group.y * RESULTS;
  let tile = tile_at(group.x);
  if (tile.count == 0u) {
    return;
  }
  let line = thread / STRIP;
  let part = thread % STRIP;
  var x_rows: array<u32, X_FILLS>;
  var weight_rows: array<u32, WEIGHT_FILLS>;
#for FILL 0 X_FILLS
  x_rows[FILL] = x_row(tile.start + min(line + FILL * LINES, tile.count - 1u));
#endfor
#for FILL 0 WEIGHT_FILLS
  weight_rows[FILL] = tile.matrix + weight_row(first, line + FILL * LINES);
#endfor

  let across = thread % ACROSS;
  let down = thread / ACROSS;
  let x_block = slice * DOWN;
  let weight_block = slice * ACROSS;
  var sums: array<f32, TOKENS * ROWS>;
  var next = read_strip(slice * STRIP + part, x_rows, weight_rows);
  for (var round = 1u; round <= ROUNDS; round++) {
#for FILL 0 X_FILLS
    x_blocks[x_block + (line + FILL * LINES) / TOKENS][(line + FILL * LINES) % TOKENS * STRIP + part] =
      next.x[FILL];
#endfor
#for FILL 0 WEIGHT_FILLS
    weight_blocks[weight_block + (line + FILL * LINES) % ACROSS][(line + FILL * LINES) / ACROSS * STRIP + part] =
      next.weight[FILL];
#endfor
    workgroupBarrier();
    next = read_strip((min(round, ROUNDS - 1u) * SLICES + slice) * STRIP + part, x_rows, weight_rows);
#for PART 0 STRIP
    {
      var weight: array<vec4f, ROWS>;
#for ROW 0 ROWS
      weight[ROW] = weight_blocks[weight_block + across][ROW * STRIP + PART];
#endfor
#for TOKEN 0 TOKENS
      {
        let value = x_blocks[x_block + down][TOKEN * STRIP + PART];
#for ROW 0 ROWS
        sums[TOKEN * ROWS + ROW] = dot4(weight[ROW], value, sums[TOKEN * ROWS + ROW]);
#endfor
      }
#endfor
    }
#endfor
    workgroupBarrier();
  }
#for SLICE 1 SLICES
  if (slice == SLICE) {
#for SUM 0 TOKENS*ROWS
    slice_sums[thread][SUM] = sums[SUM];
#endfor
  }
  workgroupBarrier();
  if (slice == 0u) {
#for SUM 0 TOKENS*ROWS
    sums[SUM] += slice_sums[thread][SUM];
#endfor
  }
  workgroupBarrier();
#endfor
#if SLICES > 1
  if (slice > 0u) {
    return;
  }
#endif
#for TOKEN 0 TOKENS
  if (down * TOKENS + TOKEN < tile.count) {
    let row = out_row(tile.start + down * TOKENS + TOKEN);
#for ROW 0 RESULTS/ACROSS
    if (first + across + ROW * ACROSS < N) {
#ifdef SWIGLU
      let value = silu(sums[TOKEN * ROWS + ROW]) * sums[TOKEN * ROWS + ROW + ROWS / 2];
#else
      let value = sums[TOKEN * ROWS + ROW];
#endif
      put(row, first + across + ROW * ACROSS, value);
    }
#endfor
  }
#endfor
}
