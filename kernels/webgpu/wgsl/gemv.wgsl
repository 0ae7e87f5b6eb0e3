// Products of few rows, as gemv_sums.wgsl shares them out: each thread takes DEPTH units of ROWS rows at a time. Every
// weight is read once for all TOKENS.
enable subgroups;
#include "gemv_sums.wgsl"

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let at = thread_at(thread);
  let lane = at.lane;
  let first = (group.y * SETS + at.own_set) * RESULTS;
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
  finish(sums, thread, group.y * SETS * RESULTS, tile);
}
